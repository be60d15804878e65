"""Have an exported file say what it doesn't know: a known score, a threshold, prediction sets.

    python export/rejection.py add model/flowers-int8.onnx DATA --out model/flowers-int8.onnx
        [--also FOLDER,...] [--unnamed FOLDER,...] [--holdout_source NAME,...]
    python export/rejection.py compare FILE DATA [--also ...] [--unnamed ...] [--unknown FOLDER,...]
    python export/rejection.py measure model/flowers.onnx DATA [--also ...] [--unknown FOLDER,...]

``DATA``, ``--also``, ``--unnamed``, ``--holdout_source``, ``--review`` and ``--corrections`` are as
for ``train.py``, and with the same values: so the photos that the network wasn't trained on are
the ones that set the thresholds. Each folder of ``--unnamed`` is a kind of its own: keep other
flowers and things that are no flowers apart. ``add`` comes between ``quantize.py`` and
``verify.py``, for the score has to fit the features of the file that ships. ``--unknown`` are
folders of other things; photos in them that were trained on aren't counted. ``DATA/valid`` is
only measured on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import onnx

from flowers_onnx.metadata import Preprocess, Rejection, SetRule, read_info
from lib import model_metadata, onnx_gates
from lib.command_line import joined_flags, told, words
from lib.photo_classifier import CROP_FRACTION, KERNEL
from lib.photo_features import Extractor
from lib.rejection import graph as rejection_graph
from lib.rejection import measure as rejection_measure
from lib.rejection.measure import judges
from lib.rejection.photos import assemble_as_trained, gather
from lib.rejection.rules import Limits, find

Words = str | Sequence[str]
OWN_REFUSED, RIGHT_REFUSED, COVERAGE = 2.0, 6.0, 0.99


def add(
    model: str,
    data: str,
    *,
    out: str,
    also: Words = "",
    unnamed: Words = "",
    holdout_source: Words = "",
    review: str = "",
    corrections: str = "",
    prototypes: int = 2,
    own_refused: float = OWN_REFUSED,
    right_refused: float = RIGHT_REFUSED,
    coverage: float = COVERAGE,
    cache: str = "",
) -> None:
    """Write ``model`` with a known score, and the rules for it, to ``out``.

    Args:
        prototypes: how many of each class, at most.
        own_refused: percent of the data set's own photos that may be refused.
        right_refused: percent of the right answers to photos from elsewhere that may be.
        coverage: how often a prediction set should hold the right class.
        cache: a folder for what the network says of photos, to begin again fast.
    """
    with told("rejection"):
        graph = onnx.load(model)
        onnx_gates.check(graph)
        rejection_graph.strip(graph)
        info = read_info(model)
        extractor = Extractor(graph, info.preprocess, cache)
        given = also, unnamed, holdout_source, review, corrections
        material = gather(extractor, assemble_as_trained(data, *given))
        limits = Limits(own_refused / 100, right_refused / 100, coverage)
        rules, figures = find(material, prototypes, limits)
        rejection_graph.add(graph, rules.score, rules.temperature)
        method = f"confidence, {prototypes} prototypes a class, {len(rules.score.planes)} planes"
        known = info.metrics | {"temperature": round(rules.temperature, 4), "calibrated": figures}
        model_metadata.write(
            graph,
            replace(
                info,
                metrics=known,
                rejection=Rejection(rules.threshold, method),
                prediction_set=None
                if rules.set_threshold is None
                else SetRule(coverage, rules.set_threshold),
            ),
        )
        onnx_gates.check(graph)
    onnx.save(graph, out)
    print(json.dumps(figures, indent=1))
    print(
        f"{out}: {os.path.getsize(out) / 1e6:.1f} MB, {method}, temperature {rules.temperature:.2f}"
    )


def compare(
    model: str,
    data: str,
    *,
    also: Words = "",
    unnamed: Words = "",
    holdout_source: Words = "",
    review: str = "",
    corrections: str = "",
    unknown: Words = "",
    own_refused: float = OWN_REFUSED,
    right_refused: float = RIGHT_REFUSED,
    cache: str = "",
    out: str = "",
) -> None:
    """Print a table of methods, by how well they tell known photos from those of ``unknown``.

    Args:
        model: an ONNX file, or the Keras model that one is to be made of.
        unknown: folders of what is none of the classes.
        out: a JSON file for the same.
    """
    with told("rejection"):
        extractor = Extractor(*_graph(model), cache)
        given = also, unnamed, holdout_source, review, corrections
        photos = assemble_as_trained(data, *given)
        material = gather(extractor, photos)
        measured = judges(extractor, photos, words(unknown))
        limits = Limits(own_refused / 100, right_refused / 100, COVERAGE)
        rows = rejection_measure.compare(material, measured, limits)
    print(rejection_measure.table(rows))
    _keep(rows, out)


def measure(
    model: str,
    data: str,
    *,
    also: Words = "",
    unnamed: Words = "",
    holdout_source: Words = "",
    review: str = "",
    corrections: str = "",
    unknown: Words = "",
    cache: str = "",
    out: str = "",
) -> None:
    """Print as JSON what the rules in the file ``model`` do to photos it wasn't trained on."""
    with told("rejection"):
        info = read_info(model)
        extractor = Extractor(onnx.load(model), info.preprocess, cache)
        given = also, unnamed, holdout_source, review, corrections
        photos = assemble_as_trained(data, *given)
        measured = judges(extractor, photos, words(unknown))
        report = rejection_measure.measure(info, measured)
    print(json.dumps(report, indent=1))
    _keep(report, out)


def _graph(model: str) -> tuple[onnx.ModelProto, Preprocess]:
    if not model.endswith(".keras"):
        return onnx.load(model), read_info(model).preprocess
    from convert import to_onnx

    from lib.keras_classifier import load, wrap

    wrapped = wrap(load(model))
    return to_onnx(wrapped), Preprocess(wrapped.input_shape[1], CROP_FRACTION, KERNEL)


def _keep(content: Any, out: str) -> None:
    if out:
        Path(out).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.argv[1:] = joined_flags(sys.argv[1:], ("also", "unnamed", "holdout_source", "unknown"))
    fire.Fire({"add": add, "compare": compare, "measure": measure})
