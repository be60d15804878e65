"""The sidecars of the photos of a result: ``photo.jpg.xmp`` beside each that is known."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from flowers_onnx.atomic import remove_leftovers, replacing
from flowers_onnx.errors import FlowersError, UsageError
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.results import Query
from flowers_onnx.sidecar.merge import Keywords, merge
from flowers_onnx.sidecar.xmp import XmpError
from flowers_onnx.sources import open_at_once
from flowers_onnx.storage.local import version_of
from flowers_onnx.storage.uris import local_path
from flowers_onnx.tables.schema import AnyRow

SUFFIX = ".xmp"
#: The root of the names in ``lr:hierarchicalSubject``.
_ROOT = "Flora"
#: Larger ones are none: darktable's with many masks have a megabyte or two.
_MOST_BYTES = 4 << 20
#: How often another program may come in between.
_TRIES = 3
#: Failures of a kind that are named.
_NAMED = 5
#: What a killed run left beside a sidecar, as ``atomic`` calls it.
_LEFT = re.compile(r"\.(.+\.xmp)\.[0-9a-f]{8}\.tmp", re.DOTALL)


class Sidecars:
    """Writes sidecars and counts them.

    ``info`` and ``query`` are those of the answers. What can't be written costs the others
    nothing: it is kept in ``failures``, by reason. Raises ``UsageError`` where no answer says
    what is known.
    """

    def __init__(self, info: ModelInfo, query: Query) -> None:
        if info.rejection is None and query.min_confidence is None:
            raise UsageError(
                f"--sidecar writes what is known, and the model {info.id} can't tell: give "
                "--min_confidence"
            )
        self._labels = {(str(one.class_id), one.scientific_name): one for one in info.labels}
        self._lang = query.lang
        self.failed = 0
        #: Sidecars of which a killed run left something, by folder.
        self._left: dict[str, frozenset[str]] = {}
        self.written = self.changed = self.removed = 0
        self._failures: Counter[str] = Counter()
        self._first: defaultdict[str, list[str]] = defaultdict(list)

    @property
    def counts(self) -> dict[str, int]:
        """What was done, for the provenance record."""
        names = ("written", "changed", "removed", "failed")
        return {f"sidecars_{name}": getattr(self, name) for name in names}

    def __str__(self) -> str:
        return self.told(self.counts)

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        """Some ``counts`` as a text."""
        parts = [f"{count:,} {name.partition('_')[2]}" for name, count in counts.items() if count]
        return f"sidecars: {', '.join(parts) or 'all as they were'}"

    def failures(self) -> Iterator[str]:
        """A line for each reason, with the first that it held for; each is told once."""
        for reason, count in self._failures.items():
            names = ", ".join(self._first[reason])
            more = count - len(self._first[reason])
            yield f"no sidecar: {reason}: {names}" + (f" and {more:,} more" if more else "")
        self._failures.clear()
        self._first.clear()

    def write(self, rows: Callable[[], Iterable[AnyRow]]) -> None:
        """Bring the sidecars of all photos in ``rows`` up to date; it is called twice.

        Of a photo's rows the last one counts that was made of the photo as it is now.
        """
        newest = _Newest(rows())
        for row in rows():
            if row["status"] != "ok":
                continue  # no answer says nothing of the one before
            path = local_path(row["source_uri"])
            if path is None:
                if row.get("known"):
                    self._fail("not on this machine", row["source_uri"])
            elif newest.has(row, path):
                self._update(path + SUFFIX, self._keywords(row))
        for path in newest.outdated():
            self._fail("the photo has changed since it was named", path)

    def _keywords(self, row: AnyRow) -> Keywords:
        if not row.get("known"):
            return Keywords()
        scientific: str | None = row["scientific_name"]
        # What another model has named may be no class of this one.
        label = self._labels.get((str(row["class_id"]), scientific))
        name = label.name(self._lang) if label else row["label"]
        levels = [_ROOT, label.family if label else None, scientific]
        path = "|".join(level.replace("|", "/") for level in levels if level)
        return Keywords((name, scientific or ""), () if path == _ROOT else (path,))

    def _update(self, path: str, wanted: Keywords) -> None:
        try:
            for _ in range(_TRIES):
                if self._has_updated(path, wanted):
                    return
            self._fail("another program writes to it", path)
        except XmpError as error:
            if wanted.flat:  # else it has nothing of ours
                self._fail(str(error), path)
        except OSError as error:
            self._fail(error.strerror or str(error), path)
        except FlowersError as error:
            self._fail(str(error), path)

    def _has_updated(self, path: str, wanted: Keywords) -> bool:
        """Whether it is done; False where another program wrote to the file meanwhile."""
        self._clear(path)
        content, found = _read(path)
        merged = merge(content, wanted)
        if merged == content:
            return True
        if found and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is write-protected")
        if not merged:  # all of it was ours
            if _is_other(path, found):
                return False
            os.unlink(os.path.realpath(path))
            self.removed += 1
            return True
        try:
            with replacing(path) as temporary:
                with open(temporary, "wb") as file:
                    file.write(merged)
                if found:
                    with contextlib.suppress(OSError, AttributeError):  # Windows has no owners
                        os.chown(temporary, found.st_uid, found.st_gid)
                if _is_other(path, found):
                    raise _BusyError
        except _BusyError:
            return False
        if found:
            self.changed += 1
        else:
            self.written += 1
        return True

    def _clear(self, path: str) -> None:
        folder, name = os.path.split(path)
        if folder not in self._left:
            with contextlib.suppress(OSError):
                found = map(_LEFT.fullmatch, os.listdir(folder))
                self._left[folder] = frozenset(match[1] for match in found if match)
        if name in self._left.get(folder, ()):
            remove_leftovers(path)

    def _fail(self, reason: str, name: str) -> None:
        self.failed += 1
        self._failures[reason] += 1
        if len(self._first[reason]) < _NAMED:
            self._first[reason].append(name)


class _BusyError(Exception):
    """Another program has written to the file."""


class _Newest:
    """Which row decides for a photo that has several, by a hash of 64 bits for each photo."""

    def __init__(self, rows: Iterable[AnyRow]) -> None:
        #: Photos of which there is a row with their very version, and how many more are to come.
        self._fitting: set[int] = set()
        self._later: Counter[int] = Counter()
        self._outdated: dict[int, str] = {}
        for row in rows:
            path = local_path(row["source_uri"])
            if path is not None and row["status"] == "ok" and _fits(row, path):
                key = hash(row["source_uri"])
                if key in self._fitting:
                    self._later[key] += 1
                self._fitting.add(key)

    def has(self, row: AnyRow, path: str) -> bool:
        """Whether ``row`` is the one; they are asked about in order."""
        key = hash(row["source_uri"])
        if _fits(row, path):
            if self._later[key]:
                self._later[key] -= 1
                return False
            return True
        if key in self._fitting:
            return False
        found = _stat(path)
        content = None if found is None else _sha256(path, version_of(found))
        if content is None or content != row["sha256"]:
            if content and row.get("known"):
                self._outdated[key] = path
            return False
        self._fitting.add(key)  # only its time has changed, as that of a copy
        return True

    def outdated(self) -> Iterator[str]:
        """Photos that are no longer what was named, in any of their rows."""
        return (path for key, path in self._outdated.items() if key not in self._fitting)


def _fits(row: AnyRow, path: str) -> bool:
    found = _stat(path)
    return found is not None and row["source_version"] == version_of(found)


@functools.lru_cache(maxsize=64)
def _sha256(path: str, _version: str) -> str | None:
    """That of a photo as it is, which is asked for by each of its rows."""
    with contextlib.suppress(OSError), open(path, "rb", opener=open_at_once) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _stat(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError, ValueError):
        return os.stat(path)
    return None


def _is_other(path: str, found: os.stat_result | None) -> bool:
    """Whether there is something else than was ``found``."""
    now = _stat(path)
    if now is None or found is None:
        return now is not found
    return (now.st_ino, now.st_size, now.st_mtime_ns) != (
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
    )


def _read(path: str) -> tuple[bytes, os.stat_result | None]:
    """A sidecar, and what it was at that moment; nothing where there is none."""
    try:
        with open(path, "rb", opener=open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise XmpError("it is not a regular file")
            if found.st_size > _MOST_BYTES:
                raise XmpError(f"it is larger than {_MOST_BYTES >> 20} MiB")
            return file.read(_MOST_BYTES), found
    except FileNotFoundError:
        return b"", None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return b"", None
        raise
