"""From the words of a command line to the photos they mean, in order and one at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flowers_onnx.errors import ImageError, from_os_error
from flowers_onnx.image_formats import HEADER_SIZE, claims_image, sniff

STDIN = "-"


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


def expand(words: Iterable[str], stdin: BinaryIO | None) -> Iterator[str | Stream | Unreadable]:
    """The photos that ``words`` name: files, folders, glob patterns, ``-`` for ``stdin``.

    Folders are walked recursively in sorted order, hidden entries left out, images told
    by content. A file that exists wins over a pattern of the same spelling.
    """
    for word in words:
        if word == STDIN:
            yield _standard_input(stdin)
        elif not _is_pattern(word):
            yield from _expand_path(word)
        elif matches := _matches(word):
            for match in matches:
                # `**` gives the content of a folder beside the folder itself.
                if "**" not in word or not os.path.isdir(match):
                    yield from _expand_path(match)
        else:
            yield Unreadable(word, ImageError("not_found", "no file matches the pattern"))


def _standard_input(stdin: BinaryIO | None) -> Stream | Unreadable:
    if stdin is None:
        return Unreadable(STDIN, ImageError("read_error", "standard input is closed"))
    return Stream(STDIN, stdin)


def _is_pattern(word: str) -> bool:
    return any(character in word for character in "*?[") and not os.path.lexists(word)


def _matches(pattern: str) -> list[str]:
    import glob  # brings the regular expressions, which no other word needs

    return sorted(glob.glob(pattern, recursive=True))


def _expand_path(path: str) -> Iterator[str | Unreadable]:
    if not os.path.isdir(path):
        yield path  # a missing file is reported when it is opened
        return
    found = False
    for item in _walk(path):
        found = True
        yield item
    if not found:
        yield Unreadable(path, ImageError("no_images", "no images in this folder"))


def _walk(folder: str) -> Iterator[str | Unreadable]:
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
        elif _claims_to_be_an_image(item):
            yield item.path


def _visible(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )


def _claims_to_be_an_image(entry: os.DirEntry[str]) -> bool:
    """By its name, or failing that by its content."""
    if claims_image(entry.name):
        try:
            return not entry.is_dir()
        except OSError:  # a link to itself: reading it gives the error
            return True
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False
        with open(entry.path, "rb") as file:
            return sniff(file.read(HEADER_SIZE)) is not None
    except OSError:
        return False  # nothing says that it is a photo
