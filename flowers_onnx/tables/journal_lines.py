"""The lines of a journal: which there are, and what a file of them has to be.

First a header, then rows; ``{"complete": true}`` as the last line says that all rows are there and
only have to be published. ``{"made_with": ...}`` says of the rows behind it what they don't tell
themselves. A line is written whole, or cut off by the end of the process.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from typing import BinaryIO, NamedTuple

from flowers_onnx.errors import UsageError
from flowers_onnx.tables.schema import AnyRow

COMPLETE = {"complete": True}
PUBLISHED = {"published": True}
_MADE_WITH = "made_with"


def header_of(version: str) -> AnyRow:
    """The first line of a journal of rows of this version."""
    return {"journal": 1, "schema": version}


def note_of(made_with: AnyRow) -> AnyRow:
    """The line that says what the next rows are made with."""
    return {_MADE_WITH: made_with}


def encoded(record: AnyRow) -> bytes:
    """The line of a row, or of another record."""
    # ASCII: nothing in it can be cut in two.
    return json.dumps(record, allow_nan=False).encode() + b"\n"


class Found(NamedTuple):
    """What is in a file: the bytes of whole lines, the first and the last of these, a note."""

    size: int
    header: AnyRow | None
    last: AnyRow | None
    made_with: AnyRow | None


def check(file: BinaryIO, name: str, header: AnyRow, earlier: Collection[AnyRow]) -> Found:
    """Look through a file that has ``header`` or one of ``earlier``; raises ``UsageError``."""
    size = 0
    first: AnyRow | None = None
    last: AnyRow | None = None
    made_with: AnyRow | None = None
    for line in file:
        record = _parse(line)
        if not size:
            _check_header(record, line, name, header, earlier)
            first = record
        if record is None:
            break
        last = record
        size += len(line)
        if record.keys() == {_MADE_WITH}:
            made_with = record[_MADE_WITH]
    return Found(size, first, last, made_with)


def rows_in(file: BinaryIO) -> Iterator[AnyRow]:
    """The rows of a file whose lines are whole."""
    next(file, None)  # the header
    for line in file:
        record = json.loads(line)
        if record not in (COMPLETE, PUBLISHED) and record.keys() != {_MADE_WITH}:
            yield record


def _check_header(
    record: AnyRow | None, line: bytes, name: str, header: AnyRow, earlier: Collection[AnyRow]
) -> None:
    if record is None and any(encoded(each).startswith(line) for each in (header, *earlier)):
        return  # killed in its very first line
    if record is None or "journal" not in record:
        raise UsageError(f"{name} is not a journal of this program; it won't be overwritten")
    if record not in (header, *earlier):
        raise UsageError(
            f"{name} is a journal of schema {record.get('schema')}, this program writes "
            f"{header['schema']}: finish that run with the program that began it"
        )


def _parse(line: bytes) -> AnyRow | None:
    if line.endswith(b"\n"):
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            return record if isinstance(record, dict) else None
    return None
