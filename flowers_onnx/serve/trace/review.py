"""The list that a person goes through: ``review.csv``, a row a photo, the least sure first.

``export/train.py --review`` reads it too.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping

from flowers_onnx.atomic import replacing
from flowers_onnx.errors import UsageError
from flowers_onnx.text import read_text

NAME = "review.csv"
#: ``file`` is relative to the list; the last two are empty until somebody has looked.
COLUMNS = ("file", "label", "confidence", "request_id", "time", "review", "correct_class_id")
CONFIRMED, CORRECTED, THROWN_OUT = "confirmed", "corrected", "thrown out"

Reviewed = Mapping[str, str]


def read(path: str) -> list[Reviewed]:
    """The rows; none if there is no such file. Raises ``UsageError`` for another kind of file.

    As spreadsheets write it: with a mark at the start, with semicolons, with columns of one's own.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restval="")
    if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
        raise UsageError(f"{path} is no list to review: it has no column {missing[0]}")
    return [{name: value for name, value in row.items() if name} for row in lines]


def write(path: str, rows: Iterable[Reviewed]) -> None:
    """Put the list in the place of an older one, in one step. Raises ``OSError``."""
    rows = list(rows)
    own = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.DictWriter(file, [*COLUMNS, *own], restval="", lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)


def to_train_on(path: str) -> Iterator[tuple[str, str]]:
    """File and class id of each photo that somebody has confirmed or corrected.

    Raises ``UsageError`` for no list, for a word that is none of the three, and for a correction
    without a class.
    """
    if not os.path.exists(path):
        raise UsageError(f"{path}: no such file")
    folder = os.path.dirname(path)
    for number, row in enumerate(read(path), 2):
        file = row["file"].replace("\\", "/")
        correct = row["correct_class_id"].strip()
        match row["review"].strip().lower():
            case "" | "thrown out":
                continue
            case "confirmed":
                class_id = file.split("/")[-2] if "/" in file else ""
            case "corrected":
                class_id = correct
            case word:
                raise UsageError(
                    f"{path}, line {number}: review is {word!r}; write {CONFIRMED}, {CORRECTED}, "
                    f"{THROWN_OUT} or nothing"
                )
        if not class_id:
            raise UsageError(f"{path}, line {number}: which class it is isn't told")
        yield os.path.join(folder, file), class_id
