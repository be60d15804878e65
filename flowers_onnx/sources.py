"""From the words of a command line to the photos they mean, in order and one at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from flowers_onnx.errors import ImageError, UsageError, from_os_error
from flowers_onnx.image_formats import (
    CAMERA_RAW,
    HEADER_SIZE,
    claims_image,
    claims_raw,
    proven,
)

STDIN = "-"

#: What systems and programs put between photos: thumbnails, copies, what was thrown away.
_NOT_OF_THE_USER = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
        *("@recycle", "@recently-snapshot"),  # QNAP
        *("$recycle.bin", "recycler", "system volume information", "thumbs.db"),  # Windows
        *("__macosx", "network trash folder", "temporary items"),  # macOS
        "lost+found",
    }
)


@dataclass(frozen=True, slots=True)
class Stream:
    """An open binary file and the name to report it by."""

    path: str
    file: BinaryIO


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A word or a folder entry that leads to no photo, kept so that it is reported in place."""

    path: str
    error: ImageError


class RegularFile(str):
    """The path of what was found rather than named: nothing but a regular file is read there."""

    __slots__ = ()


@dataclass(slots=True)
class RawFiles:
    """Camera raw files that were passed over, to be told in one line; false if there are none."""

    count: int = 0
    _names: list[str] = field(default_factory=list)

    def note(self, path: str) -> None:
        """Count one."""
        self.count += 1
        if len(self._names) < 3:
            self._names.append(os.path.basename(path))

    def __bool__(self) -> bool:
        return bool(self.count)

    def __str__(self) -> str:
        files = "file" if self.count == 1 else "files"
        names = ", ".join(self._names) + ", ..." * (self.count > len(self._names))
        shown = f" ({names})" if self._names else ""
        return (
            f"{self.count:,} camera raw {files} skipped{shown}: "
            "export JPEGs, or use those beside them"
        )


def ignore(_path: str) -> None:
    """What is done with a camera raw file where nobody counts them."""


def expand(
    words: Iterable[str], stdin: BinaryIO | None, on_raw: Callable[[str], None] = ignore
) -> Iterator[str | Stream | Unreadable]:
    """The photos that ``words`` name: files or their URIs, folders, patterns, ``-`` for ``stdin``.

    Folders are walked recursively in sorted order, images told by content; hidden entries and
    what systems keep between photos are left out, camera raw files given to ``on_raw``. A file
    that exists wins over a pattern or a URI of the same spelling, and so does a folder over the
    beginning of a pattern.
    """
    for given in words:
        word = STDIN if given == STDIN else named_file(given)
        if word == STDIN:
            yield _standard_input(stdin)
        elif isinstance(word, Unreadable):
            yield word
        elif not _is_pattern(word):
            yield from _expand_path(word, on_raw)
        else:
            yield from _expand_pattern(word, on_raw)


def named_file(word: str) -> str | Unreadable:
    """The path that a word means, a path or a ``file://`` URI; what is elsewhere is told."""
    if ":" not in word or os.path.lexists(word):
        return word
    from flowers_onnx.file_uris import is_file_uri, path_of_file  # seldom needed

    scheme, is_uri, _ = word.lower().partition("://")
    try:
        if is_file_uri(word):
            return path_of_file(word)
    except UsageError as error:
        return Unreadable(word, ImageError("not_found", str(error)))
    except UnicodeEncodeError:  # half a character: no file has that name
        return word
    if not is_uri or scheme not in {"gs", "s3", "http", "https"}:
        return word
    import shlex

    hint = (
        f"in a bucket: flowers batch {shlex.quote(word)} --out results.jsonl"
        if scheme in {"gs", "s3"}
        else f"not on this machine: curl -sSfL {shlex.quote(word)} | flowers classify -"
    )
    return Unreadable(word, ImageError("not_found", hint))


def passed_over(path: str, named: str = "") -> bool:
    """Whether a part of ``path`` is hidden, or not the user's own, and isn't called for.

    ``named``, a path or a pattern, calls for what it spells, or spells the beginning of.
    """
    spelled = named.split("/")
    return any(
        (part.startswith(".") or part.lower() in _NOT_OF_THE_USER)
        and not any(part == word or (part[0] == word[:1] and _has_magic(word)) for word in spelled)
        for part in path.split("/")
    )


def claims_sidecar(name: str) -> bool:
    """Whether a name is that of a file of XMP, which says something of the photo beside it."""
    return name.lower().endswith(".xmp")


def is_sidecar(path: str) -> bool:
    """Whether ``path`` is such a file, and no photo of an odd name."""
    return claims_sidecar(path) and os.path.isfile(path) and kind_by_content(path) is None


def open_at_once(path: str, flags: int) -> int:
    """An opener that doesn't wait for the other end, should ``path`` be a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _standard_input(stdin: BinaryIO | None) -> Stream | Unreadable:
    if stdin is None:
        return Unreadable(STDIN, ImageError("read_error", "standard input is closed"))
    return Stream(STDIN, stdin)


def _has_magic(word: str) -> bool:
    return any(character in word for character in "*?[")


def _is_pattern(word: str) -> bool:
    return _has_magic(word) and not os.path.lexists(word)


def _expand_pattern(pattern: str, on_raw: Callable[[str], None]) -> Iterator[str | Unreadable]:
    import glob  # brings the regular expressions, which no other word needs

    matches = [
        match
        for match in sorted(glob.glob(_with_literal_folder(pattern), recursive=True))
        if not passed_over(_slashed(match), _slashed(pattern))
        and (claims_sidecar(pattern) or not is_sidecar(match))
    ]
    found = False
    for match in matches:
        if os.path.isdir(match):
            found = True
            if "**" not in pattern:  # else its content is among the matches
                yield from _expand_path(match, on_raw)
        elif not claims_raw(pattern) and claims_raw(match) and kind_by_content(match) == CAMERA_RAW:
            on_raw(match)
        else:
            found = True
            yield RegularFile(match)
    if not matches:
        yield Unreadable(pattern, ImageError("not_found", "no file matches the pattern"))
    elif not found:
        yield Unreadable(pattern, ImageError("no_images", "only camera raw files match"))


def _with_literal_folder(pattern: str) -> str:
    """``pattern`` with a folder at its start that exists taken as it is: ``[2024]/*.jpg``."""
    import glob

    folder = os.path.dirname(pattern)
    while _has_magic(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + pattern[len(folder) :]


def _slashed(path: str) -> str:
    return path.replace(os.sep, "/")


def _expand_path(path: str, on_raw: Callable[[str], None]) -> Iterator[str | Unreadable]:
    if not os.path.isdir(path):
        yield path  # a missing file is reported when it is opened
        return
    found = False
    for item in _walk(path, on_raw):
        found = True
        yield item
    if not found:
        yield Unreadable(path, ImageError("no_images", "no images in this folder"))


def _walk(folder: str, on_raw: Callable[[str], None]) -> Iterator[str | Unreadable]:
    """Depth first, in sorted order; a stack, since folders may be nested deeper than calls."""
    waiting: list[str | os.DirEntry[str]] = [folder]
    while waiting:
        item = waiting.pop()
        # A link to a folder is not followed: it may lead in circles.
        if isinstance(item, str) or item.is_dir(follow_symlinks=False):
            try:
                waiting += reversed(_visible(os.fspath(item)))
            except OSError as error:
                yield Unreadable(os.fspath(item), from_os_error(error))
        elif claims_image(item.name):
            if claimed := _claimed(item):
                yield claimed
        elif kind := kind_by_content(item.path):
            if kind == CAMERA_RAW:
                on_raw(item.path)
            else:
                yield RegularFile(item.path)


def _visible(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not passed_over(entry.name)),
            key=lambda entry: entry.name,
        )


def _claimed(entry: os.DirEntry[str]) -> RegularFile | Unreadable | None:
    """What has an image's name, unless it is a link to a folder."""
    try:
        if entry.is_file() or not os.path.exists(entry.path):
            return RegularFile(entry.path)
        if entry.is_dir():
            return None
    except OSError:  # a link to itself: reading it gives the error
        return RegularFile(entry.path)
    return Unreadable(entry.path, ImageError("not_a_file", "not a regular file"))


def kind_by_content(path: str) -> str | None:
    """The format of a file that no name calls an image; None where nothing says it is a photo."""
    unknown = CAMERA_RAW if claims_raw(path) else None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb", opener=open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            kind = proven(file.read(HEADER_SIZE))
            if kind == "TIFF":
                from flowers_onnx.camera_raw import kind_of_tiff  # of few files

                kind = unknown or kind_of_tiff(file)  # a raw file's suffix knows better
    except OSError:
        return unknown
    return kind or unknown
