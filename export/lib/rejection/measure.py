"""Figures of scores on photos that had no part in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowers_onnx.metadata import ModelInfo
from lib import tables
from lib.dataset import UNNAMED
from lib.photo_features import Extractor, Outputs
from lib.rejection.figures import (
    auroc,
    known_figures,
    other_figures,
    prediction_sets,
    quantile,
    softmax,
)
from lib.rejection.photos import Judged, Material, judged, unseen
from lib.rejection.rules import Limits, threshold_for
from lib.rejection.scores import compared
from lib.training_set import TrainingSet

#: The short side of thumbnails on the web, to which known photos are shrunk for a fair comparison.
THUMBNAIL = 150
#: At which share of refused validation photos the others are compared.
REFUSED = 0.03
_NO_SCORE = "the file has no known score: `rejection.py add` gives it one"


@dataclass(frozen=True)
class Judges:
    """Photos to measure on, by name; those of ``known`` have classes, the others none."""

    known: Mapping[str, Judged]
    others: Mapping[str, Outputs]


def judges(extractor: Extractor, photos: TrainingSet, unknown: Sequence[str]) -> Judges:
    """Validation photos, also shrunk; photos from elsewhere not trained on; and other things."""
    sources = {
        "valid": photos.valid,
        "elsewhere, same sources": [photo for photo in photos.calibration if photo.source],
        "elsewhere, new sources": [photo for photo in photos.held_out if photo.target != UNNAMED],
    }
    known = {name: judged(extractor, found) for name, found in sources.items() if found}
    known["valid, shrunk"] = judged(extractor, photos.valid, shrunk_to=THUMBNAIL)
    others = {name: unseen(name, photos.train) for name in unknown}
    return Judges(
        known,
        {Path(name).name: extractor.outputs(found) for name, found in others.items() if found},
    )


def compare(material: Material, measured: Judges, limits: Limits) -> list[dict[str, Any]]:
    """A row a method: how well it parts known photos from others; what ``limits`` make of it."""
    photos = material.calibration
    methods = compared(material.reference, photos.outputs, photos.weights)
    rows = []
    for name, method in methods.items():
        threshold = threshold_for(method(photos.outputs), photos, limits)
        rows.append({"method": name, **_row(method, measured, threshold)})
    return rows


def _row(
    method: Callable[[Outputs], np.ndarray], measured: Judges, threshold: float
) -> dict[str, Any]:
    known = {name: method(photos.outputs) for name, photos in measured.known.items()}
    others = {name: method(outputs) for name, outputs in measured.others.items()}
    at = quantile(known["valid"], REFUSED)
    row: dict[str, float] = {}
    for name, values in others.items():
        row[f"AUROC {name}"] = auroc(known["valid"], values)
        row[f"AUROC {name}, shrunk"] = auroc(known["valid, shrunk"], values)
        row[f"taken for known {name}"] = float((values >= at).mean())
        row[f"refused {name}"] = float((values < threshold).mean())
    for name, photos in measured.known.items():
        right = photos.outputs.logits.argmax(axis=1) == photos.targets
        counted = np.ones(len(right), bool) if name.startswith("valid") else right
        row[f"refused {name}"] = float((known[name][counted] < threshold).mean())
    return {name: round(value, 4) for name, value in row.items()}


def measure(info: ModelInfo, measured: Judges) -> dict[str, Any]:
    """The figures of a file that has a known score, by its own rules."""
    if info.rejection is None:
        raise ValueError(_NO_SCORE)
    limit = info.prediction_set.threshold if info.prediction_set else None
    report: dict[str, Any] = {}
    for name, photos in measured.known.items():
        found = softmax(photos.outputs.logits)
        kept = _score(photos.outputs) >= info.rejection.threshold
        report[name] = known_figures(found, photos.targets, kept, prediction_sets(found, limit))
    valid, small = (_score(measured.known[name].outputs) for name in ("valid", "valid, shrunk"))
    for name, outputs in measured.others.items():
        values = _score(outputs)
        report[name] = {
            "auroc": round(auroc(valid, values), 4),
            "auroc_shrunk": round(auroc(small, values), 4),
            **other_figures(softmax(outputs.logits), values >= info.rejection.threshold),
        }
    return report


def _score(outputs: Outputs) -> np.ndarray:
    if outputs.score is None:
        raise ValueError(_NO_SCORE)
    return outputs.score


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """In Markdown; shares in percent, AUROC as they are."""
    names = list(rows[0])
    lines = [tables.row(*names), tables.rule(len(names))]
    lines += [tables.row(*(_cell(name, row[name]) for name in names)) for row in rows]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3f}" if name.startswith("AUROC") else f"{100 * value:.1f} %"
