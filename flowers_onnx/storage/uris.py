"""URIs: the one place that takes them apart and puts them together.

A place is a path or a URI: ``file:///absolute/path``, percent-encoded; ``gs://bucket/name`` or
``s3://bucket/name``, in which nothing is decoded; ``bigquery://project.dataset.table``. Schemes
are told whatever their case.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.file_uris import is_file_uri, path_of_file
from flowers_onnx.text import path_in

#: A suffix of two parts, which says that a table is no other CSV.
DARWIN_CORE = ".dwc.csv"

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_TABLE = re.compile(r"([a-z][\w.:-]*)\.(\w+)\.([\w-]+)", re.ASCII)


def scheme_of(place: str) -> str:
    """``gs``, ``s3``, ``bigquery``, ... in lower case; ``file`` for a path."""
    scheme = _SCHEME.match(place)
    return scheme[1].lower() if scheme else "file"


def is_remote(place: str) -> bool:
    """Whether a place is in a bucket rather than on disk."""
    return scheme_of(place) in {"gs", "s3"}


def is_table(place: str) -> bool:
    """Whether a place is a table of BigQuery."""
    return scheme_of(place) == "bigquery"


class TableName(NamedTuple):
    """A table of BigQuery."""

    project: str
    dataset: str
    table: str


def table_of(uri: str) -> TableName:
    """The parts of ``bigquery://project.dataset.table``; raises ``UsageError``."""
    match = _TABLE.fullmatch(_after_scheme(uri))
    if match is None:
        raise UsageError(f"{uri} is not bigquery://project.dataset.table")
    return TableName(*match.groups())


def file_uri(path: str) -> str:
    """``file:///absolute/path``, percent-encoded, for any name that a file can have."""
    drive, rest = os.path.splitdrive(os.path.abspath(path))
    if drive:  # of Windows, behind a third slash
        drive = f"/{drive}"
    return f"file://{drive}{quote_from_bytes(os.fsencode(rest.replace(os.sep, '/')))}"


def path_of(place: str) -> str:
    """The path that a ``file://`` URI means; any other text is a path already.

    Raises ``UsageError`` for a file on another machine.
    """
    return path_of_file(place) if is_file_uri(place) else place


def local_path(place: str) -> str | None:
    """The path of a place on this machine; None if it is in a bucket, or on another machine."""
    if scheme_of(place) != "file":
        return None
    try:
        return path_of(place)
    except UsageError:
        return None


def path_in_text(place: str) -> str | None:
    """``local_path`` of a place that a text names, such as a result: see ``text.path_in``."""
    path = local_path(place)
    return path if path is None or is_file_uri(place) else path_in(path)


def uri_of(place: str) -> str:
    """The URI of a path; a URI stays what it is, but that of a file gets its usual form."""
    return file_uri(path_of(place)) if scheme_of(place) == "file" else place


def link(path: str, folder: str | None) -> str:
    """A URL of ``path``: relative to a page's ``folder`` so that both can be moved together.

    Absolute if the page has no folder, or is on another drive.
    """
    if folder is not None:
        try:
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
            return quote_from_bytes(os.fsencode(relative.replace(os.sep, "/")))
        except ValueError:
            pass
    return file_uri(path)


def split(uri: str) -> tuple[str, str]:
    """Bucket and name of ``scheme://bucket/name``; the name may be empty.

    Raises ``UsageError`` for no bucket, and for names that aren't UTF-8, as no object's is.
    """
    bucket, _, name = _after_scheme(uri).partition("/")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{uri!a}: not UTF-8") from error
    if not bucket:
        raise UsageError(f"{uri}: no bucket")
    return bucket, name


def split_object(uri: str) -> tuple[str, str]:
    """``split`` for what must be an object. Raises ``StorageError``."""
    try:
        bucket, name = split(uri)
    except UsageError as error:
        raise StorageError("not_found", str(error)) from error
    if not name:
        raise StorageError("not_a_file", "a bucket, not an object")
    return bucket, name


def object_uri(scheme: str, bucket: str, name: str) -> str:
    """The reverse of ``split``."""
    return f"{scheme}://{bucket}/{name}"


def name_of(place: str) -> str:
    """The last part of a path or a URI, as it is written there."""
    return place.rstrip("/").rpartition("/")[2]


def split_suffix(place: str) -> tuple[str, str]:
    """``a/b.csv`` -> ``a/b`` and ``.csv``; a table has no suffix."""
    if place.lower().endswith(DARWIN_CORE):
        return place[: -len(DARWIN_CORE)], place[-len(DARWIN_CORE) :]
    return (place, "") if is_table(place) else os.path.splitext(place)


def suffix_of(place: str) -> str:
    """The suffix of a name, such as ``.csv``, in lower case."""
    return split_suffix(place)[1].lower()


def before_suffix(place: str, text: str) -> str:
    """``place`` with ``text`` at the end of its name: ``a.csv`` -> ``a-1.csv``."""
    stem, suffix = split_suffix(place)
    return f"{stem}{text}{suffix}"


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


def _after_scheme(uri: str) -> str:
    return uri.partition("://")[2]
