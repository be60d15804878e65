"""The spool: one SQLite file, of which one thread knows.

With ``synchronous=FULL`` a commit of WAL waits for the disk once, one of a rollback journal four
times (counted by strace, 18 kB and a row each). The file is held in exclusive mode: no second
process, and no file of shared memory beside it. A commit takes all that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from flowers_onnx.atomic import sync_folder, synced
from flowers_onnx.errors import FlowersError, StorageError, UsageError
from flowers_onnx.serve.keep.watch import Watch, unexpected

R = TypeVar("R")

#: "flsp": tells a spool from all other databases.
_APPLICATION_ID = 0x666C7370
_VERSION = 1
_BUSY = 5

_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
BEGIN IMMEDIATE;
CREATE TABLE place(kind TEXT PRIMARY KEY, uri TEXT NOT NULL);
CREATE TABLE photo(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB NOT NULL);
-- A row can go when the photos up to this one have.
CREATE TABLE line(id INTEGER PRIMARY KEY, text BLOB NOT NULL, photos INTEGER NOT NULL);
-- The trace object that is being made, one at most: the lines up to this one.
CREATE TABLE object(name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE answer(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, expires REAL NOT NULL,
    fingerprint TEXT NOT NULL, request_id TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE room(id INTEGER PRIMARY KEY, data BLOB);
"""

#: What a disk that was full must have room for before it is trusted again.
_ROOM = 1 << 16
_ROOM_PAUSE = 1.0


class Work(Generic[R]):
    """Something to do in a transaction; ``future`` gets what it returns, once that is on disk."""

    def __init__(self, apply: Callable[[sqlite3.Connection], R]) -> None:
        self.apply = apply
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[R] = self.loop.create_future()


class SpoolFile:
    """The file at ``path``; all methods are called from the event loop's thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.commits = 0
        self._watch = Watch(path)
        self._changed = threading.Condition()
        self._waiting: list[Work[Any]] = []
        self._closed = False
        self._thread: threading.Thread | None = None
        self._look: asyncio.Task[None] | None = None

    async def open(self, places: Mapping[str, str]) -> None:
        """Open or make it, for these places, by ``keep`` and ``trace``.

        Raises ``UsageError`` if it is another's, ``StorageError`` if it can't be had.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        arguments = (places, loop, opened)
        self._thread = threading.Thread(
            target=self._serve, args=arguments, name="flowers-spool", daemon=True
        )
        self._thread.start()
        await opened

    def problem(self) -> str | None:
        """Why nothing can be kept in it just now, or None."""
        return self._watch.problem()

    def submit(self, apply: Callable[[sqlite3.Connection], R]) -> Work[R]:
        """Have something done in the next transaction; ``withdraw`` may take it back."""
        work = Work(apply)
        with self._changed:
            self._waiting.append(work)
            self._changed.notify()
        return work

    def withdraw(self, work: Work[Any]) -> bool:
        """Take it back; False if it is under way."""
        with self._changed:
            if work in self._waiting:
                self._waiting.remove(work)
                return True
        return False

    async def read(self, apply: Callable[[sqlite3.Connection], R]) -> R:
        """What ``apply`` finds; raises ``StorageError``."""
        return await self.submit(apply).future

    async def write(self, apply: Callable[[sqlite3.Connection], R]) -> R:
        """What ``apply`` returns, when what it changed is on disk; raises ``StorageError``."""
        return await self.written(self.submit(apply))

    async def written(self, work: Work[R]) -> R:
        """The same for what was submitted; to be cancelled by nobody."""
        try:
            with self._watch.call():
                return await work.future
        except StorageError:
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._look_for_room())
            raise

    async def close(self) -> None:
        """Finish what was submitted."""
        if self._look:
            self._look.cancel()
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread:
            await asyncio.to_thread(self._thread.join, 2)

    async def _look_for_room(self) -> None:
        """Who is refused writes nothing that could show that there is room again."""
        while self._watch.failed:
            await asyncio.sleep(_ROOM_PAUSE)
            if self._watch.failed:
                with contextlib.suppress(StorageError), self._watch.call():
                    await self.submit(_take_room).future
                    await self.submit(_give_room).future

    # In the thread.

    def _serve(
        self,
        places: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        opened: asyncio.Future[None],
    ) -> None:
        try:
            connection = _open(self.path, places)
        except Exception as found:
            error = found if isinstance(found, FlowersError) else unexpected(found)
            loop.call_soon_threadsafe(opened.set_exception, error)
            return
        loop.call_soon_threadsafe(opened.set_result, None)
        with contextlib.closing(connection):
            while works := self._next():
                self._do(connection, works)
                del works  # photos: don't hold them until the next ones come

    def _next(self) -> list[Work[Any]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            works, self._waiting = self._waiting, []
        return works

    def _do(self, connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> None:
        """All of them in one transaction, or none."""
        results: list[Any] = []
        error: StorageError | None = None
        try:
            connection.execute("BEGIN")
            results = [work.apply(connection) for work in works]
            connection.execute("COMMIT")
            self.commits += 1
        except Exception as found:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")  # SQLite may have done it itself
            error = _failure(self.path, found)
        # A loop that is closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            works[0].loop.call_soon_threadsafe(_answer, works, results, error)


def _answer(works: Sequence[Work[Any]], results: Sequence[Any], error: StorageError | None) -> None:
    for number, work in enumerate(works):
        if work.future.cancelled():
            continue
        if error is None:
            work.future.set_result(results[number])
        else:
            work.future.set_exception(StorageError(error.code, str(error)))
            work.future.exception()  # it is no oversight if nobody asks


def _failure(path: str, error: Exception) -> StorageError:
    if isinstance(error, sqlite3.Error):
        return StorageError("read_error", f"can't write to {path}: {error}")
    return unexpected(error)


def _take_room(connection: sqlite3.Connection) -> None:
    connection.execute("REPLACE INTO room VALUES (1, zeroblob(?))", (_ROOM,))


def _give_room(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM room")


def _open(path: str, places: Mapping[str, str]) -> sqlite3.Connection:
    try:
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # Photos of people who trust us: for this user alone.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            can_wait = synced(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            "read_error",
            f"can't write to {path}: {error.strerror}; --spool FILE puts the spool elsewhere",
        ) from error
    if not can_wait:
        raise StorageError(
            "read_error",
            f"{path} can't be a spool: its file system has no fsync, so that nothing could be "
            "promised; --spool FILE puts it elsewhere, --durability best-effort promises nothing",
        )
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS waits for the disk only if asked
        connection.execute("PRAGMA journal_size_limit = 67108864")
        _claim(connection, path, places)
    except sqlite3.Error as error:
        if connection:
            connection.close()
        if getattr(error, "sqlite_errorcode", None) == _BUSY:
            raise UsageError(
                f"{path}: another server is at work on it; give each its own --spool"
            ) from error
        raise StorageError("read_error", f"can't use {path} as a spool: {error}") from error
    except BaseException:
        if connection:
            connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == _APPLICATION_ID and version != _VERSION:
        raise UsageError(f"{path} is a spool of another version; empty it with the program of then")
    if tables and application != _APPLICATION_ID:
        raise UsageError(f"{path} is no spool, and won't be overwritten")
    if not tables:
        connection.executescript(
            f"{_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
            f"PRAGMA user_version = {_VERSION}; COMMIT;"
        )


def _claim(connection: sqlite3.Connection, path: str, places: Mapping[str, str]) -> None:
    """Say for which places it is; what waits for others isn't sent to these."""
    connection.execute("BEGIN IMMEDIATE")
    for kind, table in (("keep", "photo"), ("trace", "line")):
        found = connection.execute("SELECT uri FROM place WHERE kind = ?", (kind,)).fetchone()
        waits = connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
        if waits and found and found[0] != places.get(kind):
            raise UsageError(
                f"{path} holds what waits for {found[0]}: start once with --{kind} {found[0]}, "
                "or take another --spool"
            )
    connection.execute("DELETE FROM place")
    connection.executemany("INSERT INTO place VALUES (?, ?)", places.items())
    connection.execute("COMMIT")
