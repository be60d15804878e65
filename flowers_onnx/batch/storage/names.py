"""URIs of files and objects, and patterns over names."""

from __future__ import annotations

import os
import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from flowers_onnx.errors import ImageError, UsageError
from flowers_onnx.formats import IMAGE_SUFFIXES


def file_uri(path: str) -> str:
    """``file:///absolute/path``, percent-encoded, for any name that a file can have."""
    return "file://" + quote_from_bytes(os.fsencode(os.path.abspath(path)))


def path_of(uri: str) -> str:
    """The path that a ``file://`` URI means; any other text is a path already.

    Raises ``ImageError`` for a file on another machine.
    """
    if uri[:7].lower() != "file://":
        return uri
    host, slash, path = uri[7:].partition("/")
    if host not in {"", "localhost"}:
        raise ImageError("not_found", "a file on another machine; file:///PATH has three slashes")
    return os.fsdecode(unquote_to_bytes(os.fsencode(slash + path)))


def split(uri: str) -> tuple[str, str]:
    """Bucket and name of ``scheme://bucket/name``; the name may be empty.

    Raises ``UsageError`` for no bucket, and for names that aren't UTF-8, as no object's is.
    """
    bucket, _, name = uri.partition("://")[2].partition("/")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{uri!a}: not UTF-8") from error
    if not bucket:
        raise UsageError(f"{uri}: no bucket")
    return bucket, name


def split_object(uri: str) -> tuple[str, str]:
    """``split`` for what must be an object. Raises ``ImageError``."""
    try:
        bucket, name = split(uri)
    except UsageError as error:
        raise ImageError("not_found", str(error)) from error
    if not name:
        raise ImageError("not_a_file", "a bucket, not an object")
    return bucket, name


def claims_image(name: str) -> bool:
    """Whether an object's suffix is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def literal_prefix(pattern: str) -> str:
    """What all names that match begin with; the whole of it if it is no pattern."""
    return re.split(r"[*?[]", pattern, maxsplit=1)[0]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A shell pattern over object names: only ``**`` crosses a slash."""
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[(?:!.|[^!])[^\]]*\]|.", pattern, re.DOTALL)
    try:
        return re.compile("".join(map(_expression, tokens)), re.DOTALL)
    except re.error as error:
        raise UsageError(f"{pattern} is no pattern: {error}") from error


def _expression(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            negation = "^" if token[1] == "!" else ""
            members = re.sub(r"([^\w-])", r"\\\1", token[1 + len(negation) : -1])
            return f"[{negation}{members.replace('--', '-')}]"
    return re.escape(token)
