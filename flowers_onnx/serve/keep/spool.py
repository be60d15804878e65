"""spool: photo and row are on this machine's disk before the answer, and shipped behind it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from functools import partial

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.keeper import (
    CLOSE_SECONDS,
    MAX_BYTES,
    MAX_NOTE_BYTES,
    MAX_NOTES,
    MAX_REQUESTS,
)
from flowers_onnx.serve.keep.lines import lines_of, unavailable
from flowers_onnx.serve.keep.place import Place
from flowers_onnx.serve.keep.shipper import Shipper
from flowers_onnx.serve.keep.spool_file import SpoolFile
from flowers_onnx.serve.keep.uploads import AT_A_TIME
from flowers_onnx.serve.trace.row import TraceRow

#: Of the spool's size, what only rows of refusals may use: a part of it, and bytes at most.
_NOTES_PART = 16
_NOTES_BYTES = 16 << 20
#: A spool that was full takes photos again when no more than this part of it is in use.
_ROOM_AGAIN = 0.9
#: What is left of the disk: shipping needs some, and so do others.
_DISK_BYTES = 16 << 20
#: Seconds for which a look at the disk holds, and between tries of notes.
_FRESH_SECONDS = 1.0


class SpoolLedger:
    """A ``Ledger`` of one SQLite file of at most ``spool_bytes``, and what ships it."""

    def __init__(
        self, keep: str | None, trace: str | None, instance: str, path: str, spool_bytes: int
    ) -> None:
        self._keep = Place(keep, AT_A_TIME) if keep else None
        self._trace = Place(trace, 2) if trace else None
        self.file = SpoolFile(path)
        self._shipper = Shipper(self.file, self._keep, self._trace, instance, self._give_back)
        whats = ["photo"] * bool(keep) + ["row"] * bool(trace)
        ways = [f"to {keep}"] * bool(keep) + [f"to {trace}"] * bool(trace)
        self.promise = (
            f"spool: {' and '.join(whats)} on this machine's disk ({path}) before the answer is "
            f"given, and from there {' and '.join(ways)}"
        )
        self._limit = spool_bytes
        self._room = spool_bytes - min(_NOTES_BYTES, spool_bytes // _NOTES_PART)
        self._was_full = False
        self._bytes = 0
        #: Of what waits for its commit.
        self._memory = Budget(MAX_BYTES)
        self._requests = 0
        self._notes: deque[bytes] = deque()
        self._note_bytes = 0
        self._flush: asyncio.Task[None] | None = None
        self._rows_dropped = 0
        self._disk_free, self._disk_seen = 0, 0.0

    async def start(self) -> None:
        kinds = (("keep", self._keep), ("trace", self._trace))
        await self.file.open({kind: place.uri for kind, place in kinds if place})
        self._bytes = await self.file.read(_size)
        try:
            for _, place in kinds:
                if place:
                    await place.check_or_say()
        except StorageError:
            await self.file.close()
            raise
        self._shipper.start()

    def problem(self) -> str | None:
        return self.file.problem() or self._full()

    async def record(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> None:
        photos = photos if self._keep else []
        lines = lines_of(rows) if self._trace else []
        size = sum(len(photo.data) for photo in photos) + sum(map(len, lines))
        why = self.problem()
        if why is None and self._bytes and self._bytes + size > self._room:
            self._was_full = True
            why = self._is_full()
        if why is None and (self._requests >= MAX_REQUESTS or not self._memory.try_take(size)):
            why = f"too much waits for {self.file.path}"
        if why is not None:
            self._add_notes(unavailable(lines, photos_kept=False))
            raise StorageError("read_error", why)
        self._requests += 1
        self._bytes += size
        work = self.file.submit(partial(_insert, photos, lines))
        writing = asyncio.create_task(self.file.written(work))
        writing.add_done_callback(partial(self._recorded, size))
        try:
            await asyncio.shield(writing)
        except StorageError:
            self._add_notes(unavailable(lines, photos_kept=False))
            raise
        except asyncio.CancelledError:
            if self.file.withdraw(work):
                writing.cancel()
                self._add_notes(unavailable(lines, photos_kept=False))
            else:
                writing.add_done_callback(partial(self._note_if_failed, lines))
            raise

    def note(self, rows: Sequence[TraceRow]) -> None:
        if self._trace:
            self._add_notes(lines_of(rows))

    def gauges(self) -> dict[str, float]:
        places = [place for place in (self._keep, self._trace) if place]
        return {
            "ledger_requests_pending": self._requests,
            "ledger_down": any(place.problem() for place in places),
            "ledger_failures_total": sum(place.failures for place in places),
            "ledger_rows_dropped_total": self._rows_dropped,
            "ledger_rows_written_total": self._shipper.rows_written,
            "ledger_objects_written_total": self._shipper.objects_written,
            "ledger_photos_written_total": self._shipper.photos_written,
            "spool_bytes": self._bytes,
            "spool_bytes_limit": self._limit,
            "spool_commits_total": self.file.commits,
            "spool_notes_pending": len(self._notes),
        }

    async def close(self) -> None:
        if self._flush and not self._flush.done():
            await asyncio.wait([self._flush], timeout=1)
        await self._shipper.close(CLOSE_SECONDS)
        if self._flush:
            self._flush.cancel()
        await self.file.close()
        for place in (self._keep, self._trace):
            if place:
                place.close()

    def _full(self) -> str | None:
        # What was full once is so until there is room for more than a small photo.
        self._was_full &= self._bytes > self._room * _ROOM_AGAIN
        if self._was_full or self._bytes >= self._room:
            return self._is_full()
        now = time.monotonic()
        if now - self._disk_seen > _FRESH_SECONDS:
            self._disk_seen = now
            with contextlib.suppress(OSError):
                folder = os.path.dirname(os.path.abspath(self.file.path))
                self._disk_free = shutil.disk_usage(folder).free
        if self._disk_free < _DISK_BYTES:
            return f"the disk of {self.file.path} is full"
        return None

    def _is_full(self) -> str:
        return f"the spool {self.file.path} is full: {self._bytes >> 20} MB wait for the bucket"

    def _recorded(self, size: int, writing: asyncio.Task[int]) -> None:
        self._requests -= 1
        self._memory.give_back(size)
        if writing.cancelled() or writing.exception():
            self._bytes -= size
        else:
            self._bytes -= size - writing.result()  # photos that are there already
            self._shipper.wake()

    def _note_if_failed(self, lines: list[bytes], writing: asyncio.Task[int]) -> None:
        if not writing.cancelled() and writing.exception():
            self._add_notes(unavailable(lines, photos_kept=False))

    def _give_back(self, size: int) -> None:
        self._bytes -= size

    def _add_notes(self, lines: Sequence[bytes]) -> None:
        size = sum(map(len, lines))
        if (
            len(self._notes) + len(lines) > MAX_NOTES
            or self._note_bytes + size > MAX_NOTE_BYTES
            or self._bytes + self._note_bytes + size > self._limit
        ):
            self._rows_dropped += len(lines)
            return
        self._notes += lines
        self._note_bytes += size
        if lines and (self._flush is None or self._flush.done()):
            self._flush = asyncio.create_task(self._flush_notes())

    async def _flush_notes(self) -> None:
        while self._notes:
            lines = list(self._notes)
            try:
                # Not +=: what others add meanwhile would be lost.
                size = await self.file.write(partial(_insert, (), lines))
            except StorageError:
                await asyncio.sleep(_FRESH_SECONDS)
                continue
            self._bytes += size
            for _ in lines:
                self._notes.popleft()
            self._note_bytes -= sum(map(len, lines))
            self._shipper.wake()


def _size(connection: sqlite3.Connection) -> int:
    (photos,) = connection.execute("SELECT total(length(data)) FROM photo").fetchone()
    (lines,) = connection.execute("SELECT total(length(text)) FROM line").fetchone()
    return int(photos + lines)


def _insert(
    photos: Sequence[KeptPhoto], lines: Sequence[bytes], connection: sqlite3.Connection
) -> int:
    """Add photos, unless they are there, and rows; returns the bytes that came."""
    size = sum(map(len, lines))
    for photo in photos:
        done = connection.execute(
            "INSERT OR IGNORE INTO photo (name, data) VALUES (?, ?)", (photo.name, photo.data)
        )
        size += len(photo.data) * done.rowcount
    connection.executemany(
        "INSERT INTO line (text, photos) VALUES (?, (SELECT coalesce(max(id), 0) FROM photo))",
        [(line,) for line in lines],
    )
    return size
