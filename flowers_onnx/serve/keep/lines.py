"""Rows as lines of a trace object, and what such an object is called."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from flowers_onnx.record import ErrorRecord
from flowers_onnx.serve.trace.objects import object_path
from flowers_onnx.serve.trace.row import TraceRow

_UNAVAILABLE: ErrorRecord = {"code": "unavailable", "message": "it was not kept in time"}


def lines_of(rows: Iterable[TraceRow]) -> list[bytes]:
    """A line a row, in ASCII: nothing in it can be cut in two."""
    return [_line(row) for row in rows]


def unavailable(lines: Iterable[bytes], *, photos_kept: bool) -> list[bytes]:
    """The lines of a request whose answer was 503 after all."""
    rows = [unavailable_row(json.loads(line)) for line in lines]
    return [_line(row) if photos_kept else _without_photo(row) for row in rows]


def unavailable_row(row: TraceRow) -> TraceRow:
    """The row of a request whose answer was 503 after all; a refusal stays what it was."""
    return row if row["status"] >= 400 else {**row, "status": 503, "error": _UNAVAILABLE}


def without_photos(lines: Iterable[bytes]) -> list[bytes]:
    """The lines of a request whose photos couldn't be kept."""
    return [_without_photo(json.loads(line)) for line in lines]


class ObjectNames:
    """``dt=YYYY-MM-DD/<instance>-<sequence>.jsonl``; each process is an instance of its own.

    The numbers have no gaps: so a loader remembers in one line what it has of an instance.
    """

    def __init__(self, instance: str) -> None:
        self._instance, self._sequence = instance, 1

    def peek(self) -> str:
        """The name for an object of this moment; the same number until it is taken."""
        return object_path(_today(), self._instance, self._sequence)

    def take(self) -> str:
        """That name, for good."""
        name = self.peek()
        self._sequence += 1
        return name


def is_late(name: str) -> bool:
    """Whether an object of this name would come into a folder that loaders may look at no more."""
    return name[len("dt=") :][:10] < str(_today() - timedelta(days=1))


def _today() -> date:
    return datetime.now(UTC).date()


def _line(row: TraceRow) -> bytes:
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _without_photo(row: TraceRow) -> bytes:
    return _line({**row, "photo": None, "kept_sha256": None})
