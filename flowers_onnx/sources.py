"""From the words of a command line to the photos they mean, in order and one at a time."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flowers_onnx.errors import ImageError, from_os_error
from flowers_onnx.formats import HEADER_SIZE, IMAGE_SUFFIXES, sniff

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


def expand(words: Iterable[str], stdin: BinaryIO) -> Iterator[str | Stream | Unreadable]:
    """The photos that ``words`` name: files, folders, glob patterns, ``-`` for ``stdin``.

    Folders are walked recursively in sorted order, hidden entries left out, images told
    by content. A file that exists wins over a pattern of the same spelling.
    """
    for word in words:
        if word == STDIN:
            yield Stream(STDIN, stdin)
        elif not _is_pattern(word):
            yield from _expand_path(word)
        elif matches := sorted(glob.glob(word, recursive=True)):
            for match in matches:
                yield from _expand_path(match)
        else:
            yield Unreadable(word, ImageError("not_found", "no file matches the pattern"))


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not os.path.lexists(word)


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
    try:
        with os.scandir(folder) as entries:
            visible = sorted(
                (entry for entry in entries if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        yield Unreadable(folder, from_os_error(error))
        return
    for entry in visible:
        if entry.is_dir(follow_symlinks=False):  # a link to a folder may lead in circles
            yield from _walk(entry.path)
        elif _claims_to_be_an_image(entry):
            yield entry.path


def _claims_to_be_an_image(entry: os.DirEntry[str]) -> bool:
    """By its name, or failing that by its content."""
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False
        if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
            return True
        with open(entry.path, "rb") as file:
            return sniff(file.read(HEADER_SIZE)) is not None
    except OSError:
        return False  # nothing says that it is a photo
