"""Make a list of photos, and a page to say what each of them shows.

    python export/review.py FOLDER [--model FILE] [--labels labels.json] [--max_photos 1000]

``FOLDER`` is a data set of ``flowers trace export``, or any folder of photos. Photos that
``FOLDER/review.csv`` lacks are added to it; ``FOLDER/review.html`` shows those that nobody has
looked at, the least sure first. It opens from disk and asks no network; what it downloads takes
the place of ``review.csv``, which ``train.py --review`` and ``retrain.py`` read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fire

from flowers_onnx import Classifier, Prediction
from flowers_onnx.atomic import replacing
from flowers_onnx.metadata import Label
from flowers_onnx.report.thumbnails import thumbnails
from flowers_onnx.serve.trace import review as reviewed
from lib.command_line import told
from lib.dataset import photos_below
from lib.review_page.page import Card, Choice, page

PAGE = "review.html"
#: Names that a photo has to choose from; of the model's, those that aren't out of the question.
_OFFERED, _LEAST = 3, 0.01


def review(folder: str, *, model: str = "", labels: str = "", max_photos: int = 1000) -> None:
    """Write ``review.csv`` and ``review.html`` into ``folder``.

    Args:
        model: the ONNX file that names the photos (default: the one that ships).
        labels: the classes to choose from, if they aren't the model's.
        max_photos: as many are on the page; the next are when these have been looked at.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SystemExit(f"review: there is no folder {folder}")
    with told("review"):
        classifier = Classifier(model or None)
        known = _classes(labels) if labels else classifier.info.labels
        rows, cards, seen = _looked_at(root, classifier, known)
    cards, left_out = cards[:max_photos], len(cards[max_photos:])
    columns = [*dict.fromkeys([*reviewed.COLUMNS, *(name for row in rows for name in row)])]
    text = page(
        root,
        columns,
        rows,
        cards,
        thumbnails([seen[rows[card.row]["file"]] for card in cards]),
        known,
        classifier.info.id,
        name=reviewed.NAME,
        left_out=left_out,
    )
    reviewed.write(str(root / reviewed.NAME), rows)
    with replacing(str(root / PAGE)) as draft:
        Path(draft).write_text(text, encoding="utf-8")
    print(f"{root / PAGE}: {len(cards)} photos to look at, {left_out} left for another page")


def _classes(labels: str) -> Sequence[Label]:
    from lib.model_metadata import read_labels  # needs more than the program does

    return read_labels(Path(labels))


def _looked_at(
    root: Path, classifier: Classifier, labels: Sequence[Label]
) -> tuple[list[dict[str, str]], list[Card], dict[str, Prediction]]:
    """The list, what is to be shown of it in order, and the model's answers by file."""
    rows = [dict(row) for row in reviewed.read(str(root / reviewed.NAME))]
    listed = {row["file"].replace("\\", "/") for row in rows}
    new = (path.relative_to(root).as_posix() for path in photos_below(root))
    rows += [
        dict.fromkeys(reviewed.COLUMNS, "") | {"file": name}
        for name in new
        if name not in listed and _is_text(name)
    ]
    waiting = [row for row in rows if not row["review"].strip()]
    answers = dict(_answers(root, [row["file"] for row in waiting], classifier))
    names = {str(label.class_id): label.label for label in labels}
    choices = {file: _choices(file, answer, names) for file, answer in answers.items()}
    for row in waiting:
        if row["file"] in choices and not row["label"]:
            first = choices[row["file"]][:1]
            row["label"] = names[first[0].class_id] if first else ""
            row["confidence"] = _figure(first)
    if lacking := len(waiting) - len(answers):
        print(f"review: {lacking} photos can't be read and aren't shown", file=sys.stderr)
    rows.sort(key=_sureness)
    cards = [
        Card(number, choices[row["file"]])
        for number, row in enumerate(rows)
        if row["file"] in choices and not row["review"].strip()
    ]
    return rows, cards, answers


def _answers(
    root: Path, files: Sequence[str], classifier: Classifier
) -> Iterator[tuple[str, Prediction]]:
    paths = (str(root / file.replace("\\", "/")) for file in files)
    many = len(classifier.info.labels)
    for file, result in zip(files, classifier.classify_many(paths, top_k=many), strict=True):
        if isinstance(result, Prediction):
            yield file, result


def _choices(file: str, answer: Prediction, names: dict[str, str]) -> list[Choice]:
    """The class that the photo's folder is named by, and the model's first ones.

    A class of the model that has another name here is another class.
    """
    top = [
        Choice(str(one.class_id), one.confidence)
        for one in answer.top
        if names.get(str(one.class_id)) == one.label
    ]
    *_, folder, _ = ["", *file.replace("\\", "/").split("/")]
    told = {choice.class_id: choice for choice in top}
    first = [told.get(folder, Choice(folder, None))] if folder in names else top[:1]
    likely = (one for one in top if one not in first and (one.confidence or 0) >= _LEAST)
    return [*first, *likely][:_OFFERED]


def _is_text(name: str) -> bool:
    """Whether a list can name it; names that aren't UTF-8 are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        print(f"review: {name!a} can't be listed: rename it", file=sys.stderr)
        return False
    return True


def _sureness(row: Mapping[str, str]) -> float:
    try:
        return float(row["confidence"].replace(",", "."))  # as spreadsheets may have left it
    except ValueError:
        return 0.0


def _figure(first: Sequence[Choice]) -> str:
    """The confidence as the list has it; none for a class that the model doesn't know."""
    if not first or first[0].confidence is None:
        return ""
    return f"{first[0].confidence:.6f}"


if __name__ == "__main__":
    fire.Fire(review)
