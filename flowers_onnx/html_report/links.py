"""Where a result's photo is on this machine, and how a page links to it."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

_FILE = "file://"


def local_path(source: str) -> str | None:
    """The path of a photo that results call ``source``; None if it is in a bucket."""
    if source.startswith(_FILE):
        return os.fsdecode(unquote_to_bytes(source.removeprefix(_FILE)))
    return None if "://" in source else source


def link(path: str, folder: str | None) -> str:
    """A URL of ``path``: relative to the page's ``folder`` so that both can be moved together.

    Absolute if the page has no folder, or is on another drive.
    """
    if folder is not None:
        try:
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
            return quote_from_bytes(os.fsencode(relative.replace(os.sep, "/")))
        except ValueError:
            pass
    absolute = os.path.abspath(path).replace(os.sep, "/")
    return _FILE + quote_from_bytes(os.fsencode("/" * (absolute[0] != "/") + absolute))
