"""What tests of the trace share: rows as servers write them, and the objects that hold them."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowers_onnx.record import to_json
from flowers_onnx.serve.trace.objects import ObjectName, object_name
from flowers_onnx.serve.trace.row import REQUESTS, TraceRow, trace_row
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item

DAY = "2026-11-25"
TABLE = "project.dataset.requests"
URI = f"bigquery://{TABLE}"


def row(number: int, **changes: Any) -> TraceRow:
    """A row; every seventh is of a request that got no answer."""
    about = {
        "request_id": f"01926f3a-0000-7000-8000-{number:012}",
        "time": f"{DAY}T12:00:00.120Z",
        "method": "POST",
        "route": "/v1/classify",
        "status": 200,
        "total_ms": 7.5,
        "instance": "one",
        "version": "0.1.0",
    }
    if number % 7:
        top = [{"label": "rosa «silvestre»", "class_id": 60, "confidence": 0.1 + 0.2}]
        about |= {"label": "rosa «silvestre»", "class_id": 60, "confidence": 0.1 + 0.2, "top": top}
    else:
        about |= {"status": 415, "error": {"code": "not_an_image", "message": "zero\n«bytes»"}}
    return trace_row(**about | changes)


def rows_of(count: int, first: int = 0) -> list[TraceRow]:
    return [row(number) for number in range(first, first + count)]


def put(
    trace: str | Path,
    rows: Iterable[Mapping[str, Any]],
    sequence: int,
    instance: str = "one",
    day: str = DAY,
) -> None:
    """An object as a server makes it."""
    lines = "".join(to_json(each) + "\n" for each in rows)
    place = object_name(str(trace), day, instance, sequence)
    assert store_for(place).write(place, lines.encode(), if_absent=True)


def as_loaded(rows: Iterable[TraceRow]) -> list[dict[str, Any]]:
    return [REQUESTS.table_row(each) for each in rows]


def day_of(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


class CrashError(BaseException):
    """The process ends here."""


class Steps:
    """Calls ``at`` with the number of each step that a loader takes, before and after it."""

    def __init__(self) -> None:
        self.count = 0
        self.at: Callable[[int], object] = lambda _number: None

    def take(self) -> None:
        self.count += 1
        self.at(self.count)


class MemoryStore:
    """Objects in memory, as strong as a bucket: of two that create one, one does."""

    def __init__(self, steps: Steps) -> None:
        self.objects: dict[str, bytes] = {}
        self._names: list[str] = []
        self._steps = steps
        self.listed = 0

    def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        self._steps.take()
        if uri not in self.objects:
            bisect.insort(self._names, uri)
        elif if_absent:
            return False
        self.objects[uri] = data
        self._steps.take()
        return True

    def put(self, name: ObjectName, rows: Iterable[Mapping[str, Any]]) -> None:
        """By a server, whose steps don't count."""
        uri = object_name("gs://bucket/trace", *name)
        bisect.insort(self._names, uri)
        self.objects[uri] = "".join(to_json(row) + "\n" for row in rows).encode()

    def download(self, uri: str) -> bytes | None:
        return self.objects.get(uri)

    def scan(self, prefix: str, after: str = "") -> Iterator[Item]:
        self._steps.take()
        at = bisect.bisect_right(self._names, max(after, prefix))
        for uri in itertools.islice(list(self._names), at, None):
            if not uri.startswith(prefix):
                break
            self.listed += 1
            yield Item(uri, None, len(self.objects[uri]))


class JobTable:
    """A table whose load jobs are known by their names, each run once, as the service does."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.jobs: dict[str, list[str]] = {}

    def identity(self) -> str:
        return "project:dataset.requests 2026"

    def publish_once(self, name: str, rows: Iterable[TraceRow], _identity: str) -> bool:
        self._steps.take()
        if name in self.jobs:
            return False
        found = [each["request_id"] for each in rows]
        self._steps.take()
        self.jobs.setdefault(name, found)
        self._steps.take()
        return True

    def ids(self) -> list[str]:
        return sorted(itertools.chain(*self.jobs.values()))
