"""Files by URI: ``file:///absolute/path``, percent-encoded."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

from flowers_onnx.errors import UsageError


def is_file_uri(place: str) -> bool:
    """Whether ``place`` is ``file://...``, or ``file:/...`` and no path that is there."""
    start = place[:7].lower()
    return start == "file://" or (start.startswith("file:/") and not os.path.lexists(place))


def path_of_file(uri: str) -> str:
    """The path that ``file:///a``, ``file://localhost/a`` or ``file:/a`` means.

    Raises ``UsageError`` for a file on another machine.
    """
    path = uri[len("file:") :]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        if host.lower() not in {"", "localhost"}:
            raise UsageError("a file on another machine; file:///PATH has three slashes")
        path = slash + path
    path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))
    return path[1:] if os.path.splitdrive(path[1:])[0] else path  # /C:/a of Windows
