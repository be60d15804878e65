"""``flowers trace load``: the rows of a trace into a file, or exactly once into a table.

A file is written anew, its own rows and those that it hasn't. A table of BigQuery grows by load
jobs; see ``manifests`` for who does which, and ``tables/bigquery.py`` for why each is done once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, cast

from flowers_onnx.console import say
from flowers_onnx.errors import OutputError, StorageError, UsageError
from flowers_onnx.serve.trace.manifests import (
    EVERY,
    Manifest,
    Manifests,
    following,
    pause_behind,
)
from flowers_onnx.serve.trace.objects import ObjectSet, Trace, row_id
from flowers_onnx.serve.trace.options import LoadOptions
from flowers_onnx.serve.trace.row import REQUESTS
from flowers_onnx.storage.uris import is_table, path_of, scheme_of
from flowers_onnx.tables import check_place, sink_for

if TYPE_CHECKING:
    from flowers_onnx.tables.bigquery import BigQueryTable

#: Bytes of objects that make a load: with the types of a table, they fit into one part.
LOAD_BYTES = 48 << 20

_FIRST_PAUSE, _LAST_PAUSE = 5, 300


class Clock(NamedTuple):
    """Seconds since 1970, and a wait of seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Loader(Protocol):
    """A way to bring the rows of a trace to one place."""

    def load(self) -> None:
        """Return when all that was there is loaded."""


_CLOCK = Clock()


def run(options: LoadOptions, clock: Clock = _CLOCK) -> int:
    """Load what isn't loaded; returns the exit code: 1 if a line couldn't be understood."""
    check_place(options.to)
    if scheme_of(options.trace) == "file" and not os.path.isdir(path_of(options.trace)):
        raise UsageError(
            f"there is no folder {options.trace}: give what flowers serve --trace was given"
        )
    trace = Trace(options.trace)
    loader = loader_for(trace, options.to, clock)
    if options.follow:
        _follow(loader, options.to, clock)
    loader.load()
    if not trace.is_used:
        say(f"flowers: {options.trace} has no rows; is it what flowers serve --trace was given?")
    return 1 if trace.left_out else 0


def loader_for(trace: Trace, to: str, clock: Clock) -> Loader:
    """The loader for a place; raises ``UsageError`` for one that can't be had."""
    if is_table(to):
        return TableLoader(trace, cast("BigQueryTable", sink_for(to, REQUESTS)), to, clock)
    return FileLoader(trace, to)


class TableLoader:
    """Load by load; any number of these may be at work, and be killed."""

    def __init__(self, trace: Trace, table: BigQueryTable, to: str, clock: Clock) -> None:
        self._trace, self._table, self._to, self._clock = trace, table, to, clock

    def load(self) -> None:
        goal: ObjectSet | None = None  # what was there when we came, once all of it is known
        waited_for: int | None = None
        while True:
            identity = self._table.identity()
            manifests = Manifests(self._trace.place, identity)
            newest = manifests.newest()
            if newest and not manifests.is_done(newest):
                self._finish(newest, identity)
                manifests.note_done(newest)
            if newest and goal and newest.has(goal):
                return
            objects, is_all = self._next(newest)
            if not objects:
                return
            if is_all and goal is None:
                goal = objects
            pause = pause_behind(newest, self._clock.now())
            if newest and pause and waited_for != newest.number:
                self._clock.sleep(pause)
                waited_for = newest.number  # once, wherever our clock is
                continue  # with what came meanwhile, if nobody else took it
            # Whoever is first makes it, and everybody finishes it.
            manifests.make(following(newest, objects, self._clock.now()))

    def _next(self, last: Manifest | None) -> tuple[ObjectSet, bool]:
        """The objects of the next load, and whether there are no more."""
        done, since = (last.loaded, last.since) if last else (ObjectSet(), "")
        objects, size = ObjectSet(), 0
        for name, item in self._trace.objects(done, since):
            size += item.size or 0
            if objects and size > LOAD_BYTES:
                return objects, False
            objects.add(name)
        return objects, True

    def _finish(self, manifest: Manifest, identity: str) -> None:
        count = 0

        def rows() -> Iterator[Mapping[str, Any]]:
            nonlocal count
            for row in self._trace.rows(manifest.objects):
                count += 1
                yield row

        gone = self._trace.gone
        if self._table.publish_once(manifest.id, rows(), identity):
            gone = self._trace.gone - gone
            lost = f", {gone} of them gone" if gone else ""
            say(
                f"flowers: {self._to}: load {manifest.number}, {count:,} rows of "
                f"{len(manifest.objects):,} objects{lost}"
            )


class FileLoader:
    """All rows, published in one step; of these only one may be at work on a file."""

    def __init__(self, trace: Trace, to: str) -> None:
        self._trace, self._to = trace, to
        self._done = ObjectSet()
        self._is_first = True

    def load(self) -> None:
        objects = ObjectSet(name for name, _ in self._trace.objects(self._done))
        if objects or self._is_first:
            self._add(objects)
        for name in objects:
            self._done.add(name)
        self._is_first = False

    def _add(self, objects: ObjectSet) -> None:
        sink = sink_for(self._to, REQUESTS)
        keys: set[int] = set()
        count = 0

        def new_rows() -> Iterator[Mapping[str, Any]]:
            nonlocal count
            for row in self._trace.rows(objects):
                if (key := _key(row)) not in keys:
                    keys.add(key)
                    count += 1
                    yield row

        try:
            keys.update(map(_key, sink.existing()))
            is_there, new = bool(keys), new_rows()
            first = [row for row in [next(new, None)] if row is not None]
            if first or not is_there:
                sink.publish(chain(sink.existing(), first, new))
        finally:
            sink.close()
        say(f"flowers: {self._to}: {count:,} new rows; {len(objects):,} objects were read")


def _key(row: Mapping[str, Any]) -> int:
    """A row in 64 bits: about 60 MB for a million of them."""
    return int.from_bytes(hashlib.blake2b(row_id(row).encode(), digest_size=8).digest())


def _follow(loader: Loader, to: str, clock: Clock) -> NoReturn:
    """Load again and again; SIGTERM ends that at any moment, with exit code 0."""
    pause, has_loaded = _FIRST_PAUSE, False
    with _sigterm_ends():
        while True:
            try:
                loader.load()
            except (StorageError, OutputError) as error:
                # At first, what is wrong is the command line, or the rights.
                if not (has_loaded or getattr(error, "code", None) == "read_error"):
                    raise
                say(f"flowers: {error}; tries again in {pause} s")
                clock.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                continue
            if not has_loaded:
                say(f"flowers: {to}: all that was there is loaded; goes on with what comes")
            pause, has_loaded = _FIRST_PAUSE, True
            clock.sleep(EVERY)


@contextlib.contextmanager
def _sigterm_ends() -> Iterator[None]:
    def end(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
