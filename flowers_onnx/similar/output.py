"""What was found, as text, JSON, JSON Lines or CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from typing import Any, TextIO

from flowers_onnx.index.places import shown
from flowers_onnx.photos import display_path
from flowers_onnx.record import to_text
from flowers_onnx.results import Failure, Prediction, Result
from flowers_onnx.similar.found import FIELDS, Found
from flowers_onnx.writers import ResultWriter, TextWriter, printable, result_writer

#: Of the photo that was asked about, in CSV.
_ASKED = ("path", "status", "label", "class_id", "confidence", "known", "sha256")


def found_writer(format: str, stream: TextIO, classes: int) -> ResultWriter:
    """The writer of one of ``text``, ``json``, ``jsonl`` and ``csv``, of ``Found``s and failures.

    ``classes`` is how many the model has.
    """
    match format:
        case "text":
            return _TextWriter(stream, 1, classes)
        case "csv":
            return _CsvWriter(stream)
    return result_writer(format, stream, show=1, classes=classes)


class _TextWriter(TextWriter):
    """A line for the photo, and one for each that is like it."""

    def _write(self, result: Result) -> None:
        super()._write(result)
        if isinstance(result, Found):
            for neighbour in result.neighbours:
                photo = neighbour.photo
                name = "not known" if photo.known is False else result.name_of(neighbour)
                marks = [neighbour.mark, "gone" if photo.is_gone else None]
                told = f"  ({', '.join(mark for mark in marks if mark)})" if any(marks) else ""
                path = printable(display_path(shown(photo.path)))
                # Not rounded up: what is shown as 97.0 % has what it takes to be marked.
                likeness = math.floor(round(neighbour.likeness * 1e4) / 10) / 10
                self._stream.write(f"  {likeness:5.1f} %  {path}  {name}{told}\n")

    def _answer(self, result: Prediction) -> str:
        is_there = isinstance(result, Found) and result.in_index
        return super()._answer(result) + ("  (in the index)" if is_there else "")


class _CsvWriter(ResultWriter):
    """A row for each that is like a photo; one without them for a photo that failed."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")

    def write_all(self, results: Iterable[Result]) -> int:
        similar = [f"similar_{name}" for name in FIELDS]
        self._writer.writerow([*_ASKED, "error_code", "error_message", "rank", *similar])
        failures = 0
        for result in results:
            failures += isinstance(result, Failure)
            self._write(result)
        return failures

    def _write(self, result: Result) -> None:
        record: Any = result.to_record()
        error = record["error"] or {}
        asked = [record[name] for name in _ASKED]
        asked += [error.get("code"), error.get("message")]
        for rank, row in enumerate(record.get("similar") or [{}], start=1):
            given = [rank if row else None, *(row.get(name) for name in FIELDS)]
            self._writer.writerow(map(to_text, [*asked, *given]))
