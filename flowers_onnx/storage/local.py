"""Files: ``file:///absolute/path``, percent-encoded, or a plain path."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from flowers_onnx.atomic import create, replacing
from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.sources import STDIN, Unreadable, expand, ignore, open_at_once
from flowers_onnx.storage.failures import of_file, refuse_larger, reported
from flowers_onnx.storage.item import Admit, Item
from flowers_onnx.storage.uris import file_uri, literal_prefix, path_of


class LocalStore:
    """A ``Store`` of files; ``Item.version`` is ``<size>-<mtime in ns>``."""

    def list(self, uri: str, on_raw: Callable[[str], None] = ignore) -> Iterator[Item]:
        try:
            path = path_of(uri)
        except UsageError as error:
            raise UsageError(f"can't list {uri}: {error}") from error
        if literal_prefix(path) == path and not os.path.lexists(path):
            raise StorageError("not_found", f"{uri}: no such file or folder")
        return _items(os.path.join(os.curdir, STDIN) if path == STDIN else path, on_raw)

    def read(self, item: Item, max_bytes: int, admit: Admit | None = None) -> tuple[bytes, Item]:
        try:
            with open(_path(item.uri), "rb", buffering=0, opener=open_at_once) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise StorageError("not_a_file", "not a regular file")
                refuse_larger(found.st_size, max_bytes)
                if admit:
                    admit(found.st_size)
                data = file.readall()
        except OSError as error:
            raise of_file(error) from error
        except ValueError as error:  # a null byte or a lone surrogate in the name
            raise StorageError("not_found", "no such file or folder") from error
        if item.version != (version := version_of(found)):
            item = replace(item, version=version)
        return data, item if item.size == len(data) else replace(item, size=len(data))

    def download(self, uri: str) -> bytes | None:
        with reported(f"can't read {uri}"):
            try:
                with open(_path(uri), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def fetch(self, uri: str, path: str) -> bool:
        with reported(f"can't read {uri}"):
            try:
                source = open(_path(uri), "rb")  # noqa: SIM115 - closed by the next line
            except FileNotFoundError:
                return False
            with source, open(path, "wb") as target:
                shutil.copyfileobj(source, target)
                return True

    def upload(self, path: str, uri: str) -> None:
        with (
            reported(f"can't write {uri}"),
            open(path, "rb") as source,
            replacing(_ready(uri)) as temporary,
            open(temporary, "wb") as copy,
        ):
            shutil.copyfileobj(source, copy)

    def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        with reported(f"can't write {uri}"):
            target = _ready(uri)
            if if_absent:
                return create(target, data)
            with replacing(target) as temporary, open(temporary, "wb") as copy:
                copy.write(data)
        return True

    def names(self, prefix: str) -> Sequence[str]:
        with reported(f"can't list {prefix}"):
            return [file_uri(path) for path in _paths(_start(prefix))]

    def scan(self, prefix: str, after: str = "") -> Iterator[Item]:
        with reported(f"can't list {prefix}"):
            for path in _paths(_start(prefix), _start(after) if after else ""):
                yield _describe(path)

    def delete(self, uri: str) -> None:
        with reported(f"can't remove {uri}"), contextlib.suppress(FileNotFoundError):
            os.unlink(_path(uri))


def _path(uri: str) -> str:
    try:
        return path_of(uri)
    except UsageError as error:
        raise StorageError("not_found", str(error)) from error


def _ready(uri: str) -> str:
    """The path of what is to be written, its folder made: a bucket has every folder."""
    path = os.path.abspath(_path(uri))
    if os.path.isdir(path):
        raise StorageError("not_a_file", "it is a folder")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _items(word: str, on_raw: Callable[[str], None]) -> Iterator[Item]:
    for found in expand([word], None, lambda path: on_raw(file_uri(path))):
        match found:
            case str():
                yield _describe(found)
            case Unreadable(path, error) if error.code not in {"no_images", "not_found"}:
                yield Item(file_uri(path))  # a folder in the folder: to read it gives its error


def _describe(path: str) -> Item:
    try:
        found = os.stat(path)
    except OSError:
        return Item(file_uri(path))  # reading it gives the error
    return Item(file_uri(path), version_of(found), found.st_size)


def version_of(found: os.stat_result) -> str:
    """``Item.version`` of a file."""
    return f"{found.st_size}-{found.st_mtime_ns}"


def _start(prefix: str) -> str:
    """What the paths of ``prefix`` begin with."""
    start = _path(prefix)
    # abspath would take a slash off the end, which means: only what is in the folder.
    return os.path.abspath(start) + ("/" if start.endswith("/") else "")


def _paths(start: str, after: str = "", folder: str | None = None) -> Iterator[str]:
    """Files that begin with ``start`` and come behind ``after``, as a bucket orders names."""
    try:
        with os.scandir(folder or os.path.dirname(start)) as found:
            # A folder counts with its slash; a link to one is none.
            entries = sorted(
                os.path.join(entry.path, "") if entry.is_dir(follow_symlinks=False) else entry.path
                for entry in found
                if not (entry.is_symlink() and entry.is_dir())
            )
    except FileNotFoundError:
        return
    for path in entries:
        if not path.endswith(os.sep):
            if path.startswith(start) and path > after:
                yield path
        elif (path.startswith(start) or start.startswith(path)) and (
            path > after or after.startswith(path)
        ):
            yield from _paths(start, after, path)
