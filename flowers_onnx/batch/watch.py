"""Folders that are watched: their images, each when it has stopped growing, without an end.

By listing again and again, which works on every file system, those of other machines too, where
the system's notices of changes don't.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flowers_onnx.batch.ledger import PASSING
from flowers_onnx.batch.pipeline import Done
from flowers_onnx.batch.stop import Stop
from flowers_onnx.batch.unfinished import is_unfinished
from flowers_onnx.errors import UsageError, from_os_error
from flowers_onnx.image_formats import CAMERA_RAW, claims_image
from flowers_onnx.results import Failure
from flowers_onnx.sources import kind_by_content, passed_over
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.local import version_of
from flowers_onnx.storage.uris import file_uri, is_remote, local_path

#: Seconds from one look to the next: while something comes, and at most when nothing does.
_FAST, _SLOW = 1.0, 5.0
#: A pause is at least so many times as long as the look before it.
_PAUSES = 20
#: Seconds from the first new image to the end of a burst, however many follow.
_BURST = 60.0
#: A failure is none before the file has been the same for so many times the usual.
_PATIENT = 10
#: Seconds up to which an image that fails is tried again, less and less often: for ever where
#: the failure is the storage's, else a last time.
_UNREADABLE, _BROKEN = 300.0, 3600.0

#: What Safari makes a folder of.
_BUNDLE = ".download"
#: States of a file: nothing is to be done with it, or all that is to be done.
_DONE, _DUE = -1.0, -2.0


def watched_folders(sources: Sequence[str]) -> list[str]:
    """Absolute paths of the folders to watch; raises ``UsageError`` for what is none."""
    return list(dict.fromkeys(map(_watched, sources)))


def _watched(source: str) -> str:
    if is_remote(source):
        raise UsageError(f"--watch is for folders on this machine; for {source} use cron")
    path = local_path(source)
    if path is None or not os.path.lexists(path):
        raise UsageError(f"--watch: {source}: no such folder")
    if not os.path.isdir(path):
        raise UsageError(f"--watch needs folders, and {source} is none; leave --watch out")
    try:
        with os.scandir(path):
            return os.path.abspath(path)
    except OSError as error:
        raise UsageError(f"--watch: {source}: {from_os_error(error)}") from error


@dataclass(slots=True)
class _Trouble:
    """An image that failed, or changed while it was in work."""

    at: float  # when it is tried again
    pause: float = 0  # 0: not seen to fail
    has_row: bool = False


class Folders:
    """What is in folders, and becomes of it.

    It remembers 64 bits and a state of each file that is there, nothing of those that were.
    ``claim`` says of each image whether it is to be done. A folder that can't be listed is told
    to ``say`` once, and when it can again.
    """

    def __init__(
        self,
        folders: Sequence[str],
        settle: float,
        stop: Stop,
        *,
        claim: Callable[[Item], bool],
        on_raw: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._roots, self._settle, self._stop = tuple(folders), settle, stop
        self._claim, self._on_raw, self._say = claim, on_raw, say
        self._fast, self._slow = min(_FAST, settle / 2), min(_SLOW, 2.5 * settle)
        #: A hash of path, size and time to when it was first seen, or to ``_DONE``.
        self._seen: dict[int, float] = {}
        self._unlistable: set[str] = set()
        #: What was given and has no result yet, by its URI: a photo is in work once at a time.
        self._in_work: dict[str, tuple[Item, int]] = {}
        self._troubles: dict[int, _Trouble] = {}
        self._guard = threading.Lock()  # results are taken by another thread
        self._busy = False
        self._endless = self._stable()

    def burst(self, until: float | None = None) -> Iterator[Item]:
        """Images as they come, up to a moment of silence after the first of them.

        Ends within a minute of the first, when the end is asked for, and at ``until``
        (monotonic), even where none came.
        """
        first = last = None
        for item in self._endless:
            if item is not None:
                yield item
                last = time.monotonic()
                first = first or last
            now = time.monotonic()
            if self._stop.asked or (until is not None and now >= until):
                return
            if first and last and (now - last >= self._slow or now - first >= _BURST):
                return

    def settled(self, results: Iterator[Done], release: Callable[[Item], None]) -> Iterator[Done]:
        """The results that count; all others' images are given to ``release``, and come again.

        None counts of a file that has changed since it was given, nor a failure until the file
        has been the same for a while.
        """
        for done in results:
            read, result, _ = done
            given, stamp = self._in_work[read.uri]
            version = _version_now(read.uri)
            counts = False
            if given.version != read.version or version not in {read.version, None}:
                self._again(stamp)
            elif result.ok:
                self._forget(stamp)
                counts = True
            elif version is None:
                self._again(stamp)
            elif isinstance(result, Failure):
                counts = self._counts(stamp, result)
            if counts:
                yield done
            if not (result.ok and counts):
                release(given)
            del self._in_work[read.uri]  # from now on, another version of it may be given

    def _again(self, stamp: int) -> None:
        with self._guard:
            self._troubles.setdefault(stamp, _Trouble(0)).at = time.monotonic() + self._settle

    def _forget(self, stamp: int) -> None:
        with self._guard:
            self._troubles.pop(stamp, None)

    def _counts(self, stamp: int, failure: Failure) -> bool:
        with self._guard:
            trouble = self._troubles.setdefault(stamp, _Trouble(0))
            counts = trouble.pause > 0 and not trouble.has_row
            trouble.has_row |= counts
            trouble.pause = 3 * trouble.pause or _PATIENT * self._settle
            if failure.code in PASSING:
                trouble.pause = min(trouble.pause, max(_UNREADABLE, _PATIENT * self._settle))
            elif trouble.has_row and trouble.pause > _BROKEN:
                del self._troubles[stamp]
            trouble.at = time.monotonic() + trouble.pause
            return counts

    def _stable(self) -> Iterator[Item | None]:
        """Images, and None while there is nothing to do."""
        pause = self._fast
        while not self._stop.asked:
            began, given = time.monotonic(), 0
            for item in self._look():
                given += 1
                yield item
            took = 0.0 if given else time.monotonic() - began  # else who took them had time, too
            pause = self._fast if given or self._busy else min(1.5 * pause, self._slow)
            end = time.monotonic() + max(pause, _PAUSES * took)
            while not self._stop.asked and (left := end - time.monotonic()) > 0:
                self._stop.wait(min(left, self._slow))
                yield None

    def _look(self) -> Iterator[Item]:
        """Look at all files once; the images among them that are to be done now."""
        seen: dict[int, float] = {}
        self._busy = False
        waiting = list(reversed(self._roots))
        while waiting and not self._stop.asked:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if not (passed_over(entry.name) or entry.name.endswith(_BUNDLE)):
                                waiting.append(entry.path)
                        elif item := self._looked_at(entry, seen):
                            yield item
            except OSError as error:
                self._tell(folder, error)
            else:
                self._tell(folder, None)
        if self._stop.asked:
            return
        self._seen = seen
        with self._guard:
            for stamp in self._troubles.keys() - seen.keys():
                del self._troubles[stamp]

    def _looked_at(self, entry: os.DirEntry[str], seen: dict[int, float]) -> Item | None:
        """The file if it is to be done now; its state goes into ``seen``."""
        found = _stat(entry)
        if found is None:
            return None
        stamp = hash((entry.path, found.st_size, found.st_mtime_ns))
        if stamp in seen:  # a folder within another one that was named, too
            return None
        seen[stamp] = state = self._state(entry.name, found, stamp)
        if state != _DUE:
            self._busy |= state != _DONE
            return None
        item = Item(file_uri(entry.path), version_of(found), found.st_size)
        if item.uri in self._in_work:  # in an earlier version, or again; its result comes first
            seen[stamp] = self._seen[stamp]
            self._busy = True
            return None
        seen[stamp] = _DONE
        is_image = claims_image(entry.name) or self._shows_image(entry.path)
        if not (is_image and self._claim(item)):
            return None
        self._in_work[item.uri] = item, stamp
        return item

    def _state(self, name: str, found: os.stat_result, stamp: int) -> float:
        """``_DONE``, ``_DUE``, or since when the file is as it is."""
        now = time.monotonic()
        since = self._seen.get(stamp)
        if since is None:
            return now if self._is_of_interest(name, found) else _DONE
        if since != _DONE:
            return _DUE if now - since >= self._settle else since
        if self._troubles:
            with self._guard:
                trouble = self._troubles.get(stamp)
            if trouble and now >= trouble.at:
                return _DUE
        return _DONE

    def _is_of_interest(self, name: str, found: os.stat_result) -> bool:
        return stat.S_ISREG(found.st_mode) and not (passed_over(name) or is_unfinished(name))

    def _shows_image(self, path: str) -> bool:
        kind = kind_by_content(path)
        if kind == CAMERA_RAW:
            self._on_raw(path)
        return kind not in {CAMERA_RAW, None}

    def _tell(self, folder: str, error: OSError | None) -> None:
        """Say once that a folder can't be listed, and once that it can be again."""
        if error is None:
            if folder in self._unlistable:
                self._unlistable.remove(folder)
                self._say(f"{folder} can be listed again")
        elif folder not in self._unlistable:
            if isinstance(error, FileNotFoundError) and folder not in self._roots:
                return  # removed a moment ago
            self._unlistable.add(folder)
            self._say(f"can't list {folder}: {from_os_error(error)}; goes on when it can be")


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Of the file that a link leads to; None for one that has gone."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            return None
        raise


def _version_now(uri: str) -> str | None:
    """The version of a file as it is; None where it can't be had."""
    with contextlib.suppress(OSError, ValueError):
        return version_of(os.stat(local_path(uri) or uri))
    return None
