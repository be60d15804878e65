"""From the spool to the places, behind the answers."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep.lines import ObjectNames, is_late
from flowers_onnx.serve.keep.place import FIRST_PAUSE, LAST_PAUSE, Place
from flowers_onnx.serve.keep.spool_file import SpoolFile
from flowers_onnx.serve.keep.uploads import AT_A_TIME

#: Nobody waits here: rows gather for so long, since every object costs money.
GATHER_SECONDS = 1.0

#: At one time: rows of an object, and bytes of photos in memory, or one photo.
_ROWS = 2000
_BYTES = 8 << 20

#: Pages that may stay free in the file, and how many are given back at a time.
_FREE_PAGES = 4096


class _Photo(NamedTuple):
    id: int
    name: str
    size: int


class _Batch(NamedTuple):
    """What goes next: ``photos`` first, and when there are none, the object."""

    object: str | None
    last: int
    photos: list[_Photo]


class Shipper:
    """One task; ``shipped`` is told the bytes that have left the spool.

    The name of an object and its rows are fixed in the spool before the first try, so that a try
    after a crash, of whatever process, makes the same object.
    """

    def __init__(
        self,
        file: SpoolFile,
        keep: Place | None,
        trace: Place | None,
        instance: str,
        shipped: Callable[[int], None],
    ) -> None:
        self._file, self._keep, self._trace = file, keep, trace
        self._names, self._shipped = ObjectNames(instance), shipped
        self._wanted, self._empty = asyncio.Event(), asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.rows_written = self.objects_written = self.photos_written = 0

    def start(self) -> None:
        """Begin with what is in the spool."""
        self._wanted.set()
        self._task = asyncio.create_task(self._ship_all())

    def wake(self) -> None:
        """Say that something came."""
        self._empty.clear()
        self._wanted.set()

    async def close(self, seconds: float) -> None:
        """Ship what is there as far as that time allows; the rest stays in the spool."""
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), seconds)
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _ship_all(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._wanted.wait()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), GATHER_SECONDS)
                self._wanted.clear()
                while await self._ship():
                    pause = FIRST_PAUSE
                if not self._wanted.is_set():
                    self._empty.set()
                while await self._file.write(_give_space_back):
                    pass
            except StorageError:
                self._wanted.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)

    async def _ship(self) -> bool:
        """Move photos, or an object when there are none before it; False if nothing is left."""
        name = self._names.peek()
        batch = await self._file.write(partial(_next_batch, name))
        if batch is None:
            return False
        if batch.object == name:
            self._names.take()
        if batch.photos and self._keep:
            uploads = [self._upload(photo, self._keep) for photo in batch.photos]
            done = await asyncio.gather(*uploads, return_exceptions=True)
            if failed := next((each for each in done if each), None):
                raise failed
            ids = [photo.id for photo in batch.photos]
            await self._file.write(partial(_delete_photos, ids))
            self._shipped(sum(photo.size for photo in batch.photos))
            self.photos_written += len(ids)
        elif batch.object and self._trace:
            lines = await self._file.read(partial(_lines, batch.last))
            data = b"".join(lines)
            name = batch.object
            if is_late(name) and await self._trace.read(name) is None:
                name = self._names.take()
                await self._file.write(partial(_rename_object, name))
            await self._trace.create(name, data)
            await self._file.write(partial(_delete_lines, batch.last))
            self._shipped(len(data))
            self.rows_written += len(lines)
            self.objects_written += 1
        return True

    async def _upload(self, photo: _Photo, keep: Place) -> None:
        data = await self._file.read(partial(_photo_data, photo.id))
        await keep.create(photo.name, data)


def _next_batch(name: str, connection: sqlite3.Connection) -> _Batch | None:
    found = connection.execute("SELECT name, last FROM object").fetchone()
    if found is None:
        (last,) = connection.execute(
            "SELECT max(id) FROM (SELECT id FROM line ORDER BY id LIMIT ?)", (_ROWS,)
        ).fetchone()
        if last is not None:
            found = (name, last)
            connection.execute("INSERT INTO object VALUES (?, ?)", found)
    if found is None:
        (before,) = connection.execute("SELECT max(id) FROM photo").fetchone()
    else:
        (before,) = connection.execute(
            "SELECT max(photos) FROM line WHERE id <= ?", (found[1],)
        ).fetchone()
    photos: list[_Photo] = []
    size = 0
    for row in connection.execute(
        "SELECT id, name, length(data) FROM photo WHERE id <= ? ORDER BY id LIMIT ?",
        (before, AT_A_TIME),
    ):
        photo = _Photo(*row)
        size += photo.size
        if photos and size > _BYTES:
            break
        photos.append(photo)
    if found is None and not photos:
        return None
    return _Batch(found[0] if found else None, found[1] if found else 0, photos)


def _rename_object(name: str, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE object SET name = ?", (name,))


def _photo_data(id: int, connection: sqlite3.Connection) -> bytes:
    data: bytes
    (data,) = connection.execute("SELECT data FROM photo WHERE id = ?", (id,)).fetchone()
    return data


def _lines(last: int, connection: sqlite3.Connection) -> list[bytes]:
    rows = connection.execute("SELECT text FROM line WHERE id <= ? ORDER BY id", (last,))
    return [text for (text,) in rows]


def _delete_photos(ids: Sequence[int], connection: sqlite3.Connection) -> None:
    connection.executemany("DELETE FROM photo WHERE id = ?", [(each,) for each in ids])


def _delete_lines(last: int, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM line WHERE id <= ?", (last,))
    connection.execute("DELETE FROM object")


def _give_space_back(connection: sqlite3.Connection) -> bool:
    """Some of the file's free pages, to the disk; whether there are more."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free > _FREE_PAGES:
        connection.execute(f"PRAGMA incremental_vacuum({_FREE_PAGES})").fetchall()
    return bool(free > 2 * _FREE_PAGES)
