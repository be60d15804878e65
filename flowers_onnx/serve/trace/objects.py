"""The objects of a trace: their names, which of them are done, and the rows in them.

``TRACE/dt=YYYY-MM-DD/<instance>-<sequence>.jsonl`` is made once, a row a line. Only ``flowers
trace forget`` makes it anew, with fewer rows.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple, NoReturn, cast

from flowers_onnx.concurrency import map_ordered
from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.record import to_json
from flowers_onnx.serve.trace.row import REQUESTS, TraceRow
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item

#: Behind a folder; a file's URI has the sign encoded.
_NAME = re.compile(
    r".*/dt(?:=|%3D)(\d{4}-\d\d-\d\d)/([A-Za-z0-9][\w.-]*)-(\d{10})\.jsonl", re.ASCII | re.DOTALL
)
_HIDDEN = re.compile(r".*/\.[^/]*", re.DOTALL)

#: Objects that are read at a time, and beyond the one whose rows are taken.
_READERS = 16
#: Names that are cheaper to be listed and dropped than to be skipped by another request.
_PAGE = 1000
#: Lines that can't be understood, and foreign names, of which each is told.
_TOLD = 10


class ObjectName(NamedTuple):
    """An object of a trace; they sort as their names do."""

    day: str
    instance: str
    sequence: int


def object_path(day: date | str, instance: str, sequence: int) -> str:
    """Where, in a trace, the rows are that ``instance`` writes on ``day``, UTC, with this number.

    ``instance`` has letters, digits, ``_``, ``.`` and ``-``; it begins with one of the first two.
    """
    return f"dt={day}/{instance}-{sequence:010}.jsonl"


def object_name(trace: str, day: date | str, instance: str, sequence: int) -> str:
    """The whole name of that object."""
    return f"{trace.rstrip('/')}/{object_path(day, instance, sequence)}"


def parse_name(uri: str) -> ObjectName | None:
    """The reverse of it, for a place or a URI; None for what is no object of a trace."""
    match = _NAME.fullmatch(uri)
    return match and ObjectName(match[1], match[2], int(match[3]))


class ObjectSet:
    """Objects, in the memory of a few: numbers without a gap are kept as a run."""

    def __init__(self, names: Iterable[ObjectName] = ()) -> None:
        #: First and last of each run, in order, by day and instance.
        self._runs: dict[tuple[str, str], list[list[int]]] = {}
        for name in names:
            self.add(name)

    def __contains__(self, name: ObjectName) -> bool:
        return self.last_of_run(name) is not None

    def __iter__(self) -> Iterator[ObjectName]:
        """In order."""
        for key in sorted(self._runs):
            for first, last in self._runs[key]:
                yield from (ObjectName(*key, number) for number in range(first, last + 1))

    def __len__(self) -> int:
        return sum(last - first + 1 for runs in self._runs.values() for first, last in runs)

    def add(self, name: ObjectName) -> None:
        """Have ``name`` in the set."""
        if name in self:
            return
        runs, number = self._runs.setdefault(name[:2], []), name.sequence
        at = bisect_right(runs, number, key=_first)
        runs.insert(at, [number, number])
        if at + 1 < len(runs) and runs[at + 1][0] == number + 1:
            runs[at][1] = runs.pop(at + 1)[1]
        if at and runs[at - 1][1] == number - 1:
            runs[at - 1][1] = runs.pop(at)[1]

    def last_of_run(self, name: ObjectName) -> int | None:
        """The last number of those that follow ``name`` without a gap; None if it isn't here."""
        runs = self._runs.get(name[:2], [])
        at = bisect_right(runs, name.sequence, key=_first)
        return runs[at - 1][1] if at and runs[at - 1][1] >= name.sequence else None

    def last_day(self) -> str:
        """The last day of any object; empty if there is none."""
        return max((day for day, _ in self._runs), default="")

    def since(self, day: str) -> ObjectSet:
        """A copy of those of ``day`` and later, as cheap as there are few runs."""
        found = ObjectSet()
        found._runs = {key: [*map(list, runs)] for key, runs in self._runs.items() if key[0] >= day}
        return found

    def to_json(self) -> dict[str, dict[str, list[list[int]]]]:
        """Runs by day and instance."""
        days: dict[str, dict[str, list[list[int]]]] = {}
        for (day, instance), runs in sorted(self._runs.items()):
            days.setdefault(day, {})[instance] = runs
        return days

    @classmethod
    def from_json(cls, days: Mapping[str, Mapping[str, Iterable[Iterable[int]]]]) -> ObjectSet:
        """The reverse of it."""
        found = cls()
        for day, instances in days.items():
            for instance, runs in instances.items():
                found._runs[day, instance] = [list(run) for run in runs]
        return found


def _first(run: list[int]) -> int:
    return run[0]


class Trace:
    """A place with the objects of many servers, as those see it who read it."""

    def __init__(self, place: str) -> None:
        """Raises ``UsageError`` for a place that is no storage, or that can't be had."""
        self.place = place.rstrip("/")
        self._store = store_for(place)
        #: Lines and names so far that made no sense, and objects that were gone when read.
        self.left_out = self.gone = 0
        #: Whether any object has been seen.
        self.is_used = False
        self._foreign: set[str] = set()

    def objects(self, done: ObjectSet, since: str = "") -> Iterator[tuple[ObjectName, Item]]:
        """What isn't ``done``, of the day ``since`` and later, in order of names.

        Costs few requests where much is done: a long run is skipped. Raises ``StorageError``.
        """
        prefix = f"{self.place}/dt="
        after: str | None = prefix + since
        while after is not None:
            start, after = after, None
            for item in self._store.scan(prefix, start):
                name = parse_name(item.uri)
                if name is None:
                    self._note_foreign(item.uri)
                    continue
                self.is_used = True
                last = done.last_of_run(name)
                if last is None:
                    yield name, item
                elif last - name.sequence > _PAGE:
                    behind = object_name(self.place, *name._replace(sequence=last))
                    if behind > start:
                        after = behind
                        break

    def rows(self, names: Iterable[ObjectName]) -> Iterator[TraceRow]:
        """The rows of these objects, in their order; many are read at a time.

        A line that can't be understood is told and left out, and costs the others nothing; an
        object that is gone is counted. Raises ``StorageError``, and ``UsageError`` for rows of
        another version: they are somebody's, and must not be lost.
        """
        before = self.left_out
        uris = (object_name(self.place, *name) for name in names)
        contents = map_ordered(
            self._read, uris, threads=_READERS, ahead=_READERS, name="flowers-trace"
        )
        for uri, content in contents:
            if content is None:
                self.gone += 1
                continue
            for number, line in enumerate(content.split(b"\n"), 1):
                if not line:
                    continue
                try:
                    yield read_row(line)
                except ValueError as error:
                    self.left_out += 1
                    if self.left_out - before <= _TOLD:
                        say(f"flowers: left out: {uri}, line {number}: {error}")
                except UsageError as error:
                    raise UsageError(f"{uri}: {error}") from None
        if self.left_out - before > _TOLD:
            say(f"flowers: left out: {self.left_out - before:,} lines in all")

    def _read(self, uri: str) -> tuple[str, bytes | None]:
        return uri, self._store.download(uri)

    def _note_foreign(self, uri: str) -> None:
        if _HIDDEN.fullmatch(uri):
            return  # a file that is being written
        self.left_out += 1
        if uri not in self._foreign and len(self._foreign) < _TOLD:
            self._foreign.add(uri)
            say(f"flowers: left out: {uri} has no name of a trace")


_VERSION = re.compile(r"\d+\.\d+")


def read_row(line: bytes) -> TraceRow:
    """The row of a line.

    Raises ``ValueError`` for what no server can have written, ``UsageError`` for a row of another
    version.
    """
    try:
        row = json.loads(line, parse_constant=_refuse, parse_int=_integer, parse_float=_float)
        to_json(row).encode()  # an escaped half of a pair would break a table's load
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    version = row.get("schema") if isinstance(row, dict) else None
    if (
        isinstance(version, str)
        and version not in REQUESTS.readable
        and _VERSION.fullmatch(version)
    ):
        raise UsageError(
            f"its rows are of schema {version}, this program's {REQUESTS.version}; load them with "
            "the flowers that wrote them, or a newer one"
        )
    if why := REQUESTS.problem(row):
        raise ValueError(why)
    return cast(TraceRow, row)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _integer(digits: str) -> int:
    number = int(digits)
    if number.bit_length() > 63:
        raise ValueError(digits)
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def row_id(row: Mapping[str, Any]) -> str:
    """What tells a row from all others."""
    return f"{row['request_id']}-{row['part']}"
