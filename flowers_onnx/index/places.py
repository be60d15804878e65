"""Where the photos of an index are: found again when it moves with them, and when it moves alone.

A photo's *place* is a relative URL, from the index's folder to it; its *URI* is where it was when
it was added. Both are ASCII, for any name that a file can have.
"""

from __future__ import annotations

import functools
import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

from flowers_onnx.file_uris import path_of_file
from flowers_onnx.storage.uris import file_uri


class Places:
    """The places beside one index, which is at ``index`` now."""

    def __init__(self, index: str) -> None:
        self._folder = _real(os.path.dirname(os.path.abspath(index)))

    def place_of(self, path: str) -> str:
        """The place of a file; its URI where the index is on another drive."""
        here = absolute(path)
        try:
            relative = os.path.relpath(here, self._folder)
        except ValueError:
            return file_uri(here)
        return quote_from_bytes(os.fsencode(relative.replace(os.sep, "/")))

    def path_of(self, place: str, uri: str) -> str:
        """The path of the file that is there, or else where it would be beside the index."""
        beside = self._beside(place)
        if not os.path.lexists(beside):
            alone = path_of_file(uri)
            if os.path.lexists(alone):
                return alone
        return beside

    def _beside(self, place: str) -> str:
        if place.startswith("file:"):
            return path_of_file(place)
        relative = os.fsdecode(unquote_to_bytes(place))
        return os.path.normpath(os.path.join(self._folder, relative))


def journal_of(index: str) -> str:
    """Where photos are that were added to an index and aren't in it yet."""
    return os.path.realpath(index) + ".journal"


def absolute(path: str) -> str:
    """``path`` by the real name of its folder: a link to a photo is a photo of its own."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(_real(folder), name)


def shown(path: str) -> str:
    """``path`` as people would type it here: relative to the working folder if it is below it."""
    here = os.path.join(os.path.realpath(os.curdir), "")
    return path.removeprefix(here)


@functools.lru_cache(maxsize=256)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
