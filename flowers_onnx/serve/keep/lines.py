"""Rows as lines of a trace object, and what such an object is called."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from flowers_onnx.serve.trace.row import REQUESTS, TraceRow

_UNAVAILABLE = {"code": "unavailable", "message": "it was not kept in time"}


def lines_of(rows: Iterable[TraceRow]) -> list[bytes]:
    """A line a row, in ASCII: nothing in it can be cut in two."""
    return [_line(REQUESTS.table_row(row)) for row in rows]


def unavailable(lines: Iterable[bytes], *, photos_kept: bool) -> list[bytes]:
    """The lines of a request whose answer was 503 after all."""
    changed = []
    for line in lines:
        row = json.loads(line)
        row |= {"status": 503, "error": _UNAVAILABLE}
        changed.append(_line(row) if photos_kept else _without_photo(row))
    return changed


def without_photos(lines: Iterable[bytes]) -> list[bytes]:
    """The lines of a request whose photos couldn't be kept."""
    return [_without_photo(json.loads(line)) for line in lines]


class ObjectNames:
    """``dt=YYYY-MM-DD/<instance>-<sequence>.jsonl``, another at each call.

    The sequence is the time in microseconds: what a process of the same name makes after a
    restart has other names, and sorts behind.
    """

    def __init__(self, instance: str) -> None:
        self._instance = re.sub(r"[^\w.-]", "_", instance, flags=re.ASCII)
        self._last = 0

    def next(self) -> str:
        """The name for an object of this moment."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        return f"dt={day}/{self._instance}-{self._last:016}.jsonl"


def _line(row: dict[str, object]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def _without_photo(row: dict[str, object]) -> bytes:
    return _line(row | {"photo": None, "kept_sha256": None})
