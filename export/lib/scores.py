"""How right and how honest answers are: of a model file through the package, as users have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowers_onnx import Classifier, Failure
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.record import Record
from lib.dataset import Photo

BINS = 15
#: What is tried for the scale of all logits.
TEMPERATURES = np.geomspace(0.25, 4, 401)


@dataclass(frozen=True)
class Answers:
    """What a model said of photos; those that it can't read are in ``failures`` alone.

    ``probabilities`` is float ``[N, classes]``, ``truth`` int ``[N]``, ``photos`` are those N.
    ``known`` is bool ``[N]``, or ``None`` from a model that can't tell.
    """

    photos: Sequence[Photo]
    truth: np.ndarray
    probabilities: np.ndarray
    known: np.ndarray | None
    failures: Sequence[Record]


def class_ids(info: ModelInfo) -> list[str]:
    """The names of the classes' folders, in the order of the model's output."""
    return [str(label.class_id) for label in info.labels]


def shared_ids(script: str, infos: Sequence[ModelInfo]) -> list[str]:
    """The same of models that have to have the same classes; else raises ``SystemExit``."""
    first, *others = map(class_ids, infos)
    if any(other != first for other in others):
        raise SystemExit(f"{script}: the two models have different classes")
    return first


def ask(classifier: Classifier, photos: Sequence[Photo]) -> Answers:
    """Classify ``photos``, from file to answer."""
    classes = len(classifier.info.labels)
    index = {label.class_id: i for i, label in enumerate(classifier.info.labels)}
    read: list[Photo] = []
    rows: list[np.ndarray] = []
    known: list[bool | None] = []
    failures: list[Record] = []
    results = classifier.classify_many((photo.path for photo in photos), top_k=classes)
    for photo, result in zip(photos, results, strict=True):
        if isinstance(result, Failure):
            failures.append(result.to_record())
            continue
        row = np.zeros(classes)
        for candidate in result.top:
            row[index[candidate.class_id]] = candidate.confidence
        read.append(photo)
        rows.append(row)
        known.append(result.known)
    if not rows:
        raise SystemExit(f"no photo can be read, the first for: {failures[0]['error']}")
    return Answers(
        read,
        np.array([photo.target for photo in read]),
        np.stack(rows),
        None if None in known else np.array(known, bool),
        failures,
    )


def figures(truth: np.ndarray, probabilities: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Accuracy and calibration of ``probabilities`` ``[N, classes]`` against ``truth`` ``[N]``."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    right = ranked[:, 0] == truth
    among_five = (ranked[:, :5] == truth[:, None]).any(1)
    by_class = {
        names[c]: {
            "photos": int((truth == c).sum()),
            "top1": float(right[truth == c].mean()),
            "top5": float(among_five[truth == c].mean()),
        }
        for c in np.unique(truth)
    }
    accuracies = {name: found["top1"] for name, found in by_class.items()}
    wrong = Counter(
        (names[t], names[p]) for t, p in zip(truth, ranked[:, 0], strict=True) if t != p
    )
    return {
        "photos": len(truth),
        "top1": float(right.mean()),
        "top5": float(among_five.mean()),
        "mean_per_class": float(np.mean(list(accuracies.values()))),
        "expected_calibration_error": calibration_error(probabilities.max(1), right),
        "mean_confidence": float(probabilities.max(1).mean()),
        "worst_confusions": [
            {"is": true, "taken_for": taken, "times": times}
            for (true, taken), times in wrong.most_common(10)
        ],
        "worst_classes": dict(sorted(accuracies.items(), key=lambda item: item[1])[:10]),
        "by_class": by_class,
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over ``BINS`` equal bins: 0 is perfectly honest."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def fit_temperature(
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | float = 1.0,
    candidates: np.ndarray = TEMPERATURES,
) -> float:
    """The scale of all logits with the least (weighted) log loss, of rising ``candidates``."""
    own = logits[np.arange(len(targets)), targets]

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((weights * (total - own / temperature)).sum())

    low, high = 0, len(candidates) - 1
    while low < high:  # the loss is convex in 1 / temperature: it falls, then rises
        middle = (low + high) // 2
        if loss(candidates[middle]) <= loss(candidates[middle + 1]):
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def by_source(answers: Answers) -> dict[str, dict[str, Any]]:
    """How many photos of each source are right, the largest first."""
    ranked = np.argsort(-answers.probabilities, axis=1, kind="stable")
    sources = np.array([photo.source for photo in answers.photos])
    found = {}
    for source, count in Counter(sources.tolist()).most_common():
        its = sources == source
        truth = answers.truth[its]
        found[source] = {
            "photos": count,
            "top1": float((ranked[its, 0] == truth).mean()),
            "top5": float((ranked[its, :5] == truth[:, None]).any(1).mean()),
        }
    return found
