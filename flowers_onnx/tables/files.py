"""Results that are one file, on disk or in a bucket, whatever their format."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import weakref
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Protocol, runtime_checkable

from flowers_onnx.atomic import can_make_files, remove_leftovers, replacing
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.scratch import make_scratch_folder, scratch_folder
from flowers_onnx.storage import store_for
from flowers_onnx.tables.schema import SAMPLE_ROWS, AnyRow, Schema


class Format(Protocol):
    """Rows of one schema to a file and back, in constant memory."""

    schema: Schema

    def read(self, path: str) -> Iterator[AnyRow]:
        """The rows; raises ``ValueError`` where the file is none of this format and schema."""

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        """Fill the empty file at ``path``; raises ``OSError``."""


@runtime_checkable
class Container(Format, Protocol):
    """A format whose files may hold more than our rows, which is others' and stays."""

    #: The ends of the names of files that belong to one, and to no other that takes its place.
    beside: tuple[str, ...]

    def change(self, rows: Iterable[AnyRow], path: str) -> None:
        """Make ``rows`` the rows of the file at ``path``, in one step; raises ``OSError``.

        ``rows`` may read that file meanwhile.
        """

    def copy(self, path: str, to: str) -> None:
        """Fill the empty file ``to`` with all that ``path`` has; raises ``OSError``."""


class LocalFile:
    """A result on disk."""

    appends = False
    tells_names = True

    def __init__(self, path: str, format: Format) -> None:
        self._path, self._format = path, format

    def existing(self) -> Generator[AnyRow, None, None]:
        if isinstance(self._format, Container) and not _has_content(self._path):
            for suffix in self._format.beside:
                if os.path.exists(other := self._path + suffix):
                    raise UsageError(f"{other} is left of a database that is gone: remove it")
        return _rows(self._format, self._path, self._path)

    def sample(self) -> Iterator[AnyRow]:
        return islice(self.existing(), SAMPLE_ROWS)

    def publish(self, rows: Iterable[AnyRow]) -> None:
        with contextlib.closing(self.existing()) as earlier:
            next(earlier, None)  # a foreign file is refused
        rows = map(self._format.schema.completed, rows)
        try:
            remove_leftovers(self._path)
            if (
                isinstance(self._format, Container)
                and _has_content(self._path)
                and can_make_files(os.path.dirname(os.path.realpath(self._path)))
            ):
                self._format.change(rows, self._path)
                return
            with replacing(self._path) as temporary:
                _fill(temporary, self._format, rows, self._path)
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {_reason(error)}") from error

    def close(self) -> None:
        pass


class ObjectFile:
    """A result in a bucket: written here, then uploaded whole."""

    appends = False
    tells_names = True

    def __init__(self, uri: str, format: Format) -> None:
        self._uri, self._format = uri, format
        self._store = store_for(uri)
        self._earlier: str | None = None

    def existing(self) -> Generator[AnyRow, None, None]:
        # A generator of its own, so that the copy is there as long as somebody reads it.
        yield from _rows(self._format, self._fetched(), self._uri)

    def sample(self) -> Iterator[AnyRow]:
        return islice(self.existing(), SAMPLE_ROWS)

    def publish(self, rows: Iterable[AnyRow]) -> None:
        with contextlib.closing(self.existing()) as earlier:
            next(earlier, None)  # a foreign file is refused
        rows = map(self._format.schema.completed, rows)
        try:
            with scratch_folder() as folder:
                path = os.path.join(folder, "result")
                self._fill(path, rows)
                self._store.upload(path, self._uri)
        except OSError as error:
            raise OutputError(f"can't write to {self._uri}: {_reason(error)}") from error
        self.close()

    def close(self) -> None:
        if self._earlier is not None:
            shutil.rmtree(os.path.dirname(self._earlier), ignore_errors=True)
            self._earlier = None

    def _fill(self, path: str, rows: Iterable[AnyRow]) -> None:
        try:
            _fill(path, self._format, rows, self._fetched())
        except OSError as error:
            raise OutputError(
                f"can't write {self._uri} to a temporary file first: {_reason(error)}; TMPDIR "
                "names a folder for it"
            ) from error

    def _fetched(self) -> str:
        """A copy of the earlier result; it is read more than once, and fetched once."""
        if self._earlier is None:
            folder = make_scratch_folder()
            remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            path = os.path.join(folder, "result")
            try:
                self._store.fetch(self._uri, path)
            except BaseException:
                remove()
                raise
            self._earlier = path
        return self._earlier


def _fill(path: str, format: Format, rows: Iterable[AnyRow], earlier: str) -> None:
    """Make a file of ``rows``, with what else was in the earlier one."""
    if isinstance(format, Container) and _has_content(earlier):
        format.copy(earlier, path)
        format.change(rows, path)
    else:
        format.write(rows, path)


def _has_content(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0


def _rows(format: Format, path: str, name: str) -> Generator[AnyRow, None, None]:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise OutputError(f"can't write to {name}: it is not a file")
        if not found.st_size:
            return  # there is nothing in it to be lost
        for number, row in enumerate(format.read(path), 1):
            if why := format.schema.problem(row):
                raise ValueError(f"in row {number}, {why}")
            yield row
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"can't read {name}: {_reason(error)}") from error
    except ValueError as error:
        raise UsageError(
            f"{name} is not a result that can be continued: {error}; it won't be overwritten"
        ) from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
