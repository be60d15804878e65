"""Results as text, JSON, JSON Lines or CSV, to a stream or, atomically, to a file."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TextIO

from flowers_onnx.atomic import replacing
from flowers_onnx.console import say
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.figures import percent
from flowers_onnx.image_formats import HEADER_SIZE, sniff
from flowers_onnx.record import Record, fields_of, flat_fields, flat_values, to_json, to_text
from flowers_onnx.results import Failure, Prediction, Result


class ResultWriter(Protocol):
    """Writes results as they come."""

    def write_all(self, results: Iterable[Result]) -> int:
        """Write all ``results``; returns how many of them are failures."""


@contextlib.contextmanager
def open_output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole when the block ends without an error.

    Raises ``OutputError`` at once if the file can't be made, before any work is done.
    """
    try:
        if path is None or path == "-":
            if sys.stdout is None:
                raise OutputError("standard output is closed")
            yield sys.stdout
        elif _is_special(path):
            with _text(path) as stream:
                yield stream
        else:
            _refuse_image(path)
            with replacing(path, keep=True) as temporary, _text(temporary) as stream:
                yield stream
    except ConnectionError:
        raise
    except OSError as error:
        target = path or "standard output"
        raise OutputError(f"can't write to {target}: {error.strerror}") from error


def _text(path: str) -> TextIO:
    return open(path, "w", encoding="utf-8", newline="\n")


def _is_special(path: str) -> bool:
    """A pipe or a device, such as /dev/stdout, which can't be replaced by a file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _refuse_image(path: str) -> None:
    """A pattern after ``--out`` puts a photo in the place of the output file."""
    with contextlib.suppress(FileNotFoundError, IsADirectoryError), open(path, "rb") as file:
        if sniff(file.read(HEADER_SIZE)) is not None:
            raise UsageError(f"--out {path} is an image; it won't be overwritten")


def result_writer(format: str, stream: TextIO, *, show: int, classes: int) -> ResultWriter:
    """The writer of one of ``text``, ``json``, ``jsonl`` and ``csv``.

    ``show`` is the number of candidates that the text format prints; the others print all.
    ``classes`` is how many the model has.
    """
    match format:
        case "text":
            return TextWriter(stream, show, classes)
        case "json":
            return JsonWriter(stream)
        case "jsonl":
            return JsonLinesWriter(stream)
        case "csv":
            return CsvWriter(stream)
    raise ValueError(f"unknown format {format!r}")


class _Writer:
    """Counts, and says on stderr how many failed, which a long output hides."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write_all(self, results: Iterable[Result]) -> int:
        total = failures = 0
        for total, result in enumerate(results, start=1):  # noqa: B007  used below
            failures += not result.ok
            self._write(result)
        if failures:
            self._say(failures, total)
        return failures

    def _write(self, result: Result) -> None:
        raise NotImplementedError

    def _say(self, failures: int, total: int) -> None:
        where = "its row says why" if failures == 1 else "their rows say why"
        say(f"flowers: {failures:,} of {total:,} inputs failed; {where}")


class TextWriter(_Writer):
    """One line a photo, for people; failures go to stderr."""

    def __init__(self, stream: TextIO, show: int, classes: int) -> None:
        super().__init__(stream)
        self._show, self._classes = show, classes

    def _write(self, result: Result) -> None:
        if isinstance(result, Failure):
            self._stream.flush()  # keeps the order where both go to one terminal
            say(f"{printable(result.path)}: {result.message} ({result.code})")
            return
        line = f"{printable(result.path)}  {self._answer(result)}\n"
        others = [
            f"    {candidate.label}  {percent(candidate.confidence)}\n"
            for candidate in result.top[1 : self._show]
        ]
        self._stream.write("".join([line, *others]))

    def _answer(self, result: Prediction) -> str:
        if result.known is False:
            closest = f"{result.label}, {percent(result.confidence, digits=0)}"
            return f"not one of the {self._classes} species (closest: {closest})"
        name = result.label
        if result.scientific_name and result.scientific_name != name:
            name = f"{name} ({result.scientific_name})"
        return f"{name}  {percent(result.confidence)}"

    def _say(self, failures: int, total: int) -> None:
        if total > 1:  # one has been told of
            say(f"flowers: {failures:,} of {total:,} inputs failed")


class JsonLinesWriter(_Writer):
    """One record a line, flushed as it comes so that a reader can follow."""

    def _write(self, result: Result) -> None:
        self._stream.write(to_json(result.to_record()) + "\n")
        self._stream.flush()


class JsonWriter(_Writer):
    """One JSON list, written as it grows; valid even when the run is interrupted."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._before = "[\n"

    def write_all(self, results: Iterable[Result]) -> int:
        try:
            return super().write_all(results)
        finally:
            self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")

    def _write(self, result: Result) -> None:
        self._stream.write(self._before + to_json(result.to_record()))
        self._before = ",\n"


class CsvWriter(_Writer):
    """One flat row a photo; ``top`` is the JSON of the candidates."""

    def __init__(self, stream: TextIO) -> None:
        import csv

        super().__init__(stream)
        self._writer = csv.writer(stream, lineterminator="\n")
        self._fields = fields_of(Record)

    def write_all(self, results: Iterable[Result]) -> int:
        self._writer.writerow(field.name for field in flat_fields(self._fields))
        return super().write_all(results)

    def _write(self, result: Result) -> None:
        self._writer.writerow(map(to_text, flat_values(self._fields, result.to_record())))


def write_table(format: str, rows: list[dict[str, Any]], stream: TextIO) -> None:
    """Rows that share their keys: aligned text, a JSON list, JSON Lines or CSV."""
    match format:
        case "json":
            stream.write(json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        case "jsonl":
            stream.writelines(to_json(row) + "\n" for row in rows)
        case "csv":
            import csv

            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        case _:
            cells = [[str(value or "") for value in row.values()] for row in rows]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            for line in cells:
                padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
                stream.write("  ".join(padded).rstrip() + "\n")


def write_facts(format: str, facts: dict[str, Any], stream: TextIO) -> None:
    """Nested facts as JSON, or as indented ``key: value`` lines."""
    if format == "json":
        stream.write(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return
    stream.writelines(line + "\n" for line in _fact_lines(facts, ""))


def _fact_lines(facts: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in facts.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _fact_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {'none' if value is None else value}"


def printable(path: str | None) -> str:
    """A name on one line: control characters can't move the terminal's cursor."""
    text = "-" if path is None else path
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
