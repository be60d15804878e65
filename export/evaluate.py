"""Measure a model on labelled photos, from file to label, as users run it.

    python export/evaluate.py DATA [--model FILE] [--split valid] [--out evaluation]

``DATA/<split>/<class_id>/*`` holds the photos. Prints the figures as JSON and writes
``evaluation.json`` and ``confusion.png`` to the folder ``--out``. Needs the installed
``flowers_onnx`` and, for the picture, matplotlib; no TensorFlow.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fire
import numpy as np

from flowers_onnx import Classifier, Failure
from flowers_onnx.record import Record

BINS = 15


def evaluate(data: str, *, model: str = "", split: str = "valid", out: str = "evaluation") -> None:
    """Classify every photo of a split and report how often and how surely that was right."""
    classifier = Classifier(model or None)
    labels = classifier.info.labels
    index = {str(label.class_id): i for i, label in enumerate(labels)}
    paths = sorted((Path(data) / split).glob("*/*"))
    if not paths:
        raise SystemExit(f"evaluate: no photos in {data}/{split}")
    if unknown := {path.parent.name for path in paths} - index.keys():
        raise SystemExit(f"evaluate: the model has no classes {sorted(unknown)}")

    truth: list[int] = []
    probabilities: list[np.ndarray] = []
    failures: list[Record] = []
    results = classifier.classify_many(paths, top_k=len(labels))
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, Failure):
            failures.append(result.to_record())
            continue
        row = np.zeros(len(labels))
        for candidate in result.top:
            row[index[str(candidate.class_id)]] = candidate.confidence
        truth.append(index[path.parent.name])
        probabilities.append(row)

    names = [label.label for label in labels]
    report = {
        "model": classifier.info.id,
        "split": split,
        "photos": len(paths),
        "failures": failures,
        **figures(np.array(truth), np.stack(probabilities), names),
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text + "\n")
    print(text)
    if importlib.util.find_spec("matplotlib") is None:
        print("evaluate: no picture without matplotlib", file=sys.stderr)
    else:
        draw_confusion(np.array(truth), np.stack(probabilities).argmax(1), names, folder)


def figures(truth: np.ndarray, probabilities: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Accuracy and calibration of ``probabilities`` ``[N, classes]`` against ``truth`` ``[N]``."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    right = ranked[:, 0] == truth
    per_class = {names[c]: float(right[truth == c].mean()) for c in np.unique(truth)}
    wrong = Counter(
        (names[t], names[p]) for t, p in zip(truth, ranked[:, 0], strict=True) if t != p
    )
    return {
        "top1": float(right.mean()),
        "top5": float((ranked[:, :5] == truth[:, None]).any(1).mean()),
        "mean_per_class": float(np.mean(list(per_class.values()))),
        "expected_calibration_error": calibration_error(probabilities.max(1), right),
        "mean_confidence": float(probabilities.max(1).mean()),
        "worst_confusions": [
            {"is": true, "taken_for": taken, "times": times}
            for (true, taken), times in wrong.most_common(10)
        ],
        "worst_classes": dict(sorted(per_class.items(), key=lambda item: item[1])[:10]),
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over ``BINS`` equal bins: 0 is perfectly honest."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def draw_confusion(
    truth: np.ndarray, predicted: np.ndarray, names: list[str], folder: Path
) -> None:
    """The confusion matrix as a picture; each row is a true class and sums to 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (truth, predicted), 1)
    matrix /= np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(6, len(names) / 8)
    figure, axis = pyplot.subplots(figsize=(side, side), layout="constrained")
    axis.imshow(matrix, cmap="viridis")
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
    axis.set_yticks(range(len(names)), names, fontsize=5)
    axis.set(xlabel="predicted", ylabel="true")
    figure.savefig(folder / "confusion.png", dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    fire.Fire(evaluate)
