"""Measure a model on labelled photos, from file to label, as users run it.

    python export/evaluate.py DATA [--model FILE] [--before FILE] [--split valid]
        [--also FOLDER,... [--sources NAME,...] [--calibration]] [--keep] [--out evaluation]

``DATA/<split>/<class_id>/*`` holds the photos. ``--before`` measures another model file beside it.
``--also`` adds folders ``FOLDER/<class_id>/*`` from elsewhere, by source where an ``index.csv`` in
or beside them tells it; only some with ``--sources``; only what training keeps out with
``--calibration``. Prints tables, and writes them with all figures to ``evaluation.md`` and
``evaluation.json`` in the folder ``--out``, beside ``confusion.png`` of the split. ``--keep`` puts
into the model file what it took the photos for, which ``flowers compare`` shows. Needs the
installed ``flowers_onnx`` and, for the picture, matplotlib, for ``--keep`` onnx; no TensorFlow.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np

from flowers_onnx import Classifier
from flowers_onnx.confusion import ELSEWHERE, Confusions, confusions_of
from lib.command_line import words
from lib.dataset import Photo, collected_photos, list_photos
from lib.scores import Answers, ask, by_source, figures, shared_ids
from lib.tables import leave, row, rule
from lib.training_set import calibration_part

#: So many classes have a row of their own: those where models differ most, then the worst.
ROWS = 20
#: A side of the picture of confusions, at most: that of 1,000 classes would take a gigabyte.
MOST_INCHES = 30


def evaluate(
    data: str,
    *,
    model: str = "",
    before: str = "",
    split: str = "valid",
    also: str = "",
    sources: str = "",
    calibration: bool = False,
    keep: bool = False,
    out: str = "evaluation",
) -> None:
    """Classify photos and report how often and how surely that was right.

    Args:
        before: a model file of the same classes to stand beside it
        also: folders of photos from elsewhere, ``FOLDER/<class_id>/*``
        sources: only these sources of them
        calibration: only those of them that training keeps out, one in twelve
        keep: have the model file say what it took the photos for
    """
    classifiers = [Classifier(file or None) for file in ([before] if before else []) + [model]]
    ids = shared_ids("evaluate", [classifier.info for classifier in classifiers])
    sets = {split: (Path(data) / split, list_photos(Path(data), split, ids))}
    for name in words(also):
        photos = elsewhere(Path(name), ids, set(words(sources)), calibration=calibration)
        if photos or not (calibration and Path(name).is_dir()):
            sets[name] = (Path(name), photos)
        else:
            print(f"evaluate: training keeps out no photo of {name}", file=sys.stderr)
    for folder, photos in sets.values():
        check(folder, photos, ids)

    names = [label.label for label in classifiers[-1].info.labels]
    report: list[dict[str, Any]] = []
    last: dict[str, Answers] = {}
    for name, (_, photos) in sets.items():
        answers = [ask(classifier, photos) for classifier in classifiers]
        last[name] = answers[-1]
        report.append({"set": name, "models": [_measured(one, names) for one in answers]})
    models = [classifier.info.id for classifier in classifiers]
    folder = Path(out)
    leave(folder, "evaluation", {"models": models, "sets": report}, tables(models, report))
    if importlib.util.find_spec("matplotlib") is None:
        print("evaluate: no picture without matplotlib", file=sys.stderr)
    else:
        draw_confusion(last[split].truth, last[split].probabilities.argmax(1), names, folder)
    if keep:
        from lib.model_metadata import write_confusion

        file = Path(classifiers[-1].info.path)
        write_confusion(file, _confusions(split, last, len(names)))
        print(f"evaluate: {file} says what it took these photos for", file=sys.stderr)


def _confusions(split: str, found: dict[str, Answers], classes: int) -> list[Confusions]:
    """Of the split, and of all photos from elsewhere together."""
    pairs: dict[str, list[tuple[int, int]]] = {}
    for name, one in found.items():
        named = one.probabilities.argmax(1).tolist()
        its = pairs.setdefault(split if name == split else ELSEWHERE, [])
        its += zip(one.truth.tolist(), named, strict=True)
    return [confusions_of(name, its, classes) for name, its in pairs.items()]


def elsewhere(folder: Path, ids: list[str], sources: set[str], *, calibration: bool) -> list[Photo]:
    """The photos of a collection, or the part of it that is asked for."""
    photos = collected_photos(folder, ids)
    if missing := sources - {photo.source for photo in photos}:
        raise SystemExit(f"evaluate: {folder} has nothing of {', '.join(sorted(missing))}")
    apart = calibration_part(photos, [str(folder)] * len(photos)) if calibration else None
    return [
        photo
        for i, photo in enumerate(photos)
        if (not sources or photo.source in sources) and (apart is None or apart[i])
    ]


def check(folder: Path, photos: Sequence[Photo], ids: list[str]) -> None:
    """Refuse a folder of which the model knows nothing, or not all."""
    if not folder.is_dir():
        raise SystemExit(f"evaluate: there is no folder {folder}")
    if unknown := {path.name for path in folder.iterdir() if path.is_dir()} - set(ids):
        raise SystemExit(f"evaluate: the model has no classes {', '.join(sorted(unknown))}")
    if not photos:
        raise SystemExit(f"evaluate: no photos in {folder}")


def _measured(answers: Answers, names: list[str]) -> dict[str, Any]:
    report = {
        "failures": answers.failures,
        **figures(answers.truth, answers.probabilities, names),
    }
    if answers.known is not None:
        right = answers.probabilities.argmax(1) == answers.truth
        report["refused"] = float(1 - answers.known.mean())
        report["right_answers_refused"] = float(1 - answers.known[right].mean())
    sources = by_source(answers)
    if set(sources) != {""}:
        report["by_source"] = sources
        report["mean_per_source"] = float(np.mean([one["top1"] for one in sources.values()]))
    return report


def tables(models: list[str], report: list[dict[str, Any]]) -> Iterator[str]:
    """The figures as Markdown, the models side by side, the last one being the one that counts."""
    measures = {
        "photos": "photos",
        "top1": "top-1",
        "top5": "top-5",
        "mean_per_class": "top-1, mean of classes",
        "mean_per_source": "top-1, mean of sources",
        "expected_calibration_error": "calibration error",
        "mean_confidence": "mean confidence",
        "refused": "not known",
        "right_answers_refused": "not known, of right answers",
    }
    for one in report:
        found = one["models"]
        yield f"### {one['set']}\n"
        yield row("", *models)
        yield rule(len(models) + 1)
        for key, text in measures.items():
            if any(key in figure for figure in found):
                yield row(text, *(_shown(figure.get(key)) for figure in found))
        for key, text in (("by_source", "source"), ("by_class", "class")):
            if key in found[-1]:
                yield ""
                yield from _parts(text, models, [figure[key] for figure in found])
        yield ""


def _parts(what: str, models: list[str], found: list[dict[str, Any]]) -> Iterator[str]:
    """A row a part: all sources; of the classes those that changed most or are worst."""
    after, before = found[-1], found[0]
    parts = list(after)
    if what == "class":
        changes = {part: abs(_change(before, after, part)) for part in parts}
        parts = [part for part in parts if changes[part] or after[part]["top1"] < 1]
        parts = sorted(parts, key=lambda part: after[part]["top1"] - changes[part])[:ROWS]
    columns = [f"{model}: {figure}" for figure in ("top-1", "top-5") for model in models]
    yield row(what, "photos", *columns)
    yield rule(2 + len(columns))
    for part in parts:
        cells = [figure.get(part, {}).get(key) for key in ("top1", "top5") for figure in found]
        yield row(part, after[part]["photos"], *map(_shown, cells))
    if len(after) > len(parts):
        yield f"\n{len(after) - len(parts)} other classes are in `evaluation.json`."


def _change(before: dict[str, Any], after: dict[str, Any], part: str) -> float:
    return float(after[part]["top1"] - before.get(part, after[part])["top1"])


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2%}".replace("%", " %")


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
    side = min(max(6, len(names) / 8), MOST_INCHES)
    figure, axis = pyplot.subplots(figsize=(side, side), layout="constrained")
    axis.imshow(matrix, cmap="viridis")
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
    axis.set_yticks(range(len(names)), names, fontsize=5)
    axis.set(xlabel="predicted", ylabel="true")
    figure.savefig(folder / "confusion.png", dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    fire.Fire(evaluate)
