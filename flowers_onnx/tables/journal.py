"""The journal: rows of a run that isn't finished, kept where a killed run can be continued.

``journal_lines`` has its form. Where a line was cut off by the end of the process, the next run
drops the rest of it, and does its image again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from typing import BinaryIO, Protocol

from flowers_onnx.atomic import synced
from flowers_onnx.console import say
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_remote, path_of
from flowers_onnx.tables.journal_lines import (
    COMPLETE,
    PUBLISHED,
    check,
    encoded,
    header_of,
    note_of,
    rows_in,
)
from flowers_onnx.tables.schema import AnyRow

#: A bucket takes whole objects only: what was done since the last one is lost with the process.
_PART_SECONDS = 30
_PART_ROWS = 20_000
_PART = re.compile(r"part-\d{20}\.jsonl")


class Journal(Protocol):
    """Rows that outlive the process."""

    #: Whether all rows are there, so that they can be published.
    complete: bool
    #: What the last rows were made with, if that was noted.
    made_with: AnyRow | None

    @property
    def lost(self) -> bool:
        """Whether what was appended can't be had any more."""

    def rows(self) -> Iterator[AnyRow]:
        """All rows so far, in the order they were added."""

    def append(self, row: AnyRow) -> None:
        """Keep a row; raises ``OutputError`` or, from a bucket, ``StorageError``."""

    def note(self, made_with: AnyRow) -> None:
        """Keep what the rows that follow are made with; raises the same."""

    def mark_complete(self) -> None:
        """Say that no row will follow, before the rows are published."""

    def clear(self) -> None:
        """Forget all rows and take others: these are published. Raises as ``append`` does."""

    def close(self) -> None:
        """Keep all that was appended, for a later run; nothing once it is removed."""

    def remove(self) -> None:
        """Forget all rows: they are published."""


def open_journal(place: str, version: str, earlier: Collection[str] = ()) -> Journal:
    """The journal at a path or, ending in no slash, under a bucket's URI.

    ``version`` is that of the rows' schema, ``earlier`` are those whose rows may be among them: a
    journal of another one is refused.
    Raises ``UsageError`` for a file that is no journal, or is used by another process,
    ``OutputError`` if it can't be made, ``StorageError`` if a bucket doesn't answer.
    """
    if is_remote(place):
        return BucketJournal(place, version, earlier)
    return LocalJournal(path_of(place), version, earlier)


class LocalJournal:
    """A file that grows by a line a row, which outlives this process when ``append`` returns."""

    def __init__(self, path: str, version: str, earlier: Collection[str] = ()) -> None:
        self._path, self._header = path, header_of(version)
        self._earlier = [header_of(each) for each in earlier]
        self._failure: str | None = None
        self.made_with: AnyRow | None = None
        self._open()
        while self.lost:  # another run has ended since it was opened, and has removed it
            self._file.close()
            self._open()
        try:
            self._repair()
        except BaseException:
            if not os.fstat(self._file.fileno()).st_size:  # no room for the first line
                self.remove()
            self._file.close()
            raise

    def _open(self) -> None:
        try:
            self._file = open(self._path, "a+b", buffering=0)  # noqa: SIM115  closed by close()
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.close()
            raise UsageError(f"{self._path} is not a file, and can't be a journal")
        _lock(self._file.fileno(), self._path)

    @property
    def lost(self) -> bool:
        """Whether the file was removed or replaced, and not only its folder taken away."""
        if self._file.closed or not os.path.isdir(os.path.dirname(self._path) or os.curdir):
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError as error:
            return error.errno in {errno.ENOENT, errno.ESTALE}

    def rows(self) -> Iterator[AnyRow]:
        try:
            file = open(self._path, "rb")  # noqa: SIM115  closed by the next line
        except OSError as error:
            raise OutputError(f"can't read {self._path}: {error.strerror}") from error
        with file:
            yield from rows_in(file)

    def append(self, row: AnyRow) -> None:
        self._raise_version()
        self._write(row)

    def note(self, made_with: AnyRow) -> None:
        self._raise_version()
        self._write(note_of(made_with))
        self.made_with = made_with

    def mark_complete(self) -> None:
        self._write(COMPLETE)
        self._flush()
        self.complete = True

    def clear(self) -> None:
        try:
            self._file.truncate(len(encoded(self._header)))  # as long as that of another version
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {error.strerror}") from error
        self.complete, self.made_with, self._failure = False, None, None

    def close(self) -> None:
        if not self._file.closed:
            with contextlib.suppress(OSError):
                synced(self._file.fileno())
            self._file.close()

    def remove(self) -> None:
        if self._file.closed:
            return
        try:
            os.unlink(self._path)  # while it is locked: nobody else can have begun to use it
            self._file.close()
        except OSError:  # a file that is open, on Windows, or mounted by itself
            with contextlib.suppress(OSError):
                self._file.truncate(0)  # what is published must not be published again
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _repair(self) -> None:
        """Look at what there is, and cut off what a killed run left of its last line."""
        with open(self._path, "rb") as file:
            found = check(file, self._path, self._header, self._earlier)
        size = os.fstat(self._file.fileno()).st_size
        if found.size < size:
            say(f"flowers: {self._path}: dropped an unfinished line; it will be done again")
            self._file.truncate(found.size)
        if not found.size:
            self._write(self._header)
        self._is_earlier = found.size > 0 and found.header != self._header
        self.complete, self.made_with = found.last == COMPLETE, found.made_with

    def _raise_version(self) -> None:
        """Before a line that an earlier version can't read; until then that one may go on, too."""
        if not self._is_earlier:
            return
        try:
            with open(self._path, "r+b") as file:
                file.write(encoded(self._header))  # as long as the one that it replaces
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {error.strerror}") from error
        self._is_earlier = False

    def _flush(self) -> None:
        try:
            if not synced(self._file.fileno()):
                _tell_unsynced(self._path)
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {error.strerror}") from error

    def _write(self, record: AnyRow) -> None:
        line = encoded(record)
        # What comes behind a part of a line would be cut off with it.
        if self._failure:
            raise OutputError(self._failure)
        try:
            written = self._file.write(line)
            reason = "no space left"
        except OSError as error:
            written, reason = 0, error.strerror or str(error)
        if written != len(line):
            failure = f"can't write to {self._path}: {reason}"
            try:
                self._file.truncate(os.fstat(self._file.fileno()).st_size - (written or 0))
            except OSError:
                self._failure = failure
            raise OutputError(failure)


class BucketJournal:
    """Objects ``NAME/part-...``, one for every half minute or so."""

    def __init__(self, uri: str, version: str, earlier: Collection[str] = ()) -> None:
        self._header = header_of(version)
        headers = [header_of(each) for each in earlier]
        self._prefix = uri.rstrip("/") + "/"
        self._store = store_for(uri)
        self._pending: list[bytes] = []
        self._last = time.monotonic()
        names = self._store.names(self._prefix)
        self._parts = sorted(name for name in names if _PART.fullmatch(name, len(self._prefix)))
        self.complete = False
        self.made_with: AnyRow | None = None
        for part in self._parts:
            found = check(self._read(part), part, self._header, headers)
            self.complete = found.last == COMPLETE
            self.made_with = self.made_with if found.made_with is None else found.made_with
            if found.last == PUBLISHED:  # killed while it removed the parts
                self._delete()
                self.made_with = None
                break

    @property
    def lost(self) -> bool:
        return False

    def rows(self) -> Iterator[AnyRow]:
        self._upload()
        for part in self._parts:
            yield from rows_in(self._read(part))

    def append(self, row: AnyRow) -> None:
        self._pending.append(encoded(row))
        if len(self._pending) >= _PART_ROWS or time.monotonic() - self._last > _PART_SECONDS:
            self._upload()

    def note(self, made_with: AnyRow) -> None:
        self._pending.append(encoded(note_of(made_with)))
        self.made_with = made_with

    def mark_complete(self) -> None:
        self._pending.append(encoded(COMPLETE))
        self._upload()
        self.complete = True

    def close(self) -> None:
        self._upload()

    def clear(self) -> None:
        self.remove()
        self.complete, self.made_with = False, None

    def remove(self) -> None:
        self._pending.clear()
        if self._parts:
            # Without this, a kill among the deletions would leave a journal of some of the rows.
            self._pending.append(encoded(PUBLISHED))
            self._upload()
        self._delete()

    def _delete(self) -> None:
        for part in self._parts:  # the one that says so is the last
            self._store.delete(part)
        self._parts = []

    def _upload(self) -> None:
        self._last = time.monotonic()
        if not self._pending:
            return
        # Behind the last one, even where this machine's clock is.
        last = int(self._parts[-1][-26:-6]) if self._parts else 0
        part = f"{self._prefix}part-{max(time.time_ns(), last + 1):020}.jsonl"
        self._store.write(part, b"".join([encoded(self._header), *self._pending]))
        self._parts.append(part)
        self._pending.clear()

    def _read(self, part: str) -> BinaryIO:
        content = self._store.download(part)
        if content is None:
            raise OutputError(f"{part} has vanished: is another run at work?")
        return io.BytesIO(content)


@functools.cache
def _tell_unsynced(path: str) -> None:
    say(
        f"flowers: {path}: its file system has no fsync, so that what is done may not outlive a "
        "loss of power; it does outlive this process"
    )


def _lock(descriptor: int, path: str) -> None:
    """Keep a second process from running on the same journal, where the system can do that."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path}: another run is at work on it") from None
    except OSError:  # a file system without locks
        return
