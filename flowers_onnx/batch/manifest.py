"""Lists of images: a text file of paths, or a CSV or JSON Lines manifest with ids."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from flowers_onnx.errors import UsageError
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import is_remote, scheme_of, uri_of
from flowers_onnx.text import open_lines, path_in

#: What the column of the images may be called; the first of them that is there.
_PLACES = ("path", "uri", "source_uri", "image")


def read_manifest(path: str, *, local: bool = False) -> Iterator[Item]:
    """The images that a list names, in its order; paths are relative to the working directory.

    ``path`` ends in ``.csv``, ``.tsv`` or ``.jsonl`` for a manifest with a column ``path`` (or
    ``uri``) and maybe ``id``; anything else, or ``-``, has one path or URI a line. Raises
    ``UsageError`` if it can't be read, and where it names an object of a bucket if all have to be
    ``local``.
    """
    name = "standard input" if path == "-" else path
    try:
        with open_lines(0 if path == "-" else path, name) as lines:
            for number, (place, item_id) in enumerate(_entries(path, lines), 1):
                where = f"{name}, image {number}"
                if local and is_remote(place):
                    raise UsageError(f"{where}: {place} is not on this machine")
                yield _item(place, item_id, where)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error


def _item(place: str, item_id: str | None, where: str) -> Item:
    try:
        store_for(place)  # a scheme that isn't known is told here, with its place in the list
        uri = uri_of(path_in(place) if scheme_of(place) == "file" else place)
        f"{uri}{item_id or ''}".encode()
    except UnicodeEncodeError as error:  # JSON can hold half a character
        raise UsageError(f"{where}: not UTF-8") from error
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return Item(uri, id=item_id)


def _entries(path: str, lines: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    suffix = path.lower().rpartition(".")[2]
    if suffix in {"jsonl", "ndjson"}:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _json_entry(line, f"{path}, line {number}")
        return
    first = next(lines, "")
    lines = chain([first], lines)
    # Excel's "Unicode text" is a table with tabs, in a file that ends in .txt.
    if suffix in {"csv", "tsv"} or _is_tabbed(first):
        yield from _rows(path, first, lines)
    else:
        for line in lines:
            if place := line.rstrip("\r\n"):
                yield place, None


def _is_tabbed(header: str) -> bool:
    cells = header.rstrip("\r\n").split("\t")
    return len(cells) > 1 and any(cell in _PLACES for cell in cells)


def _rows(path: str, header: str, lines: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    """A table's, whose cells are told by its header: Excel writes semicolons in much of Europe."""
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(lines, delimiter=separator)
    column = _place_column(path, reader.fieldnames or ())
    for number, row in enumerate(reader, 1):
        if not row[column]:
            raise UsageError(f"{path}, row {number}: no {column}")
        yield row[column], row.get("id") or None


def _json_entry(line: str, where: str) -> tuple[str, str | None]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: not JSON") from error
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: not an object")
    place = entry[_place_column(where, tuple(entry))]
    if not isinstance(place, str) or not place:
        raise UsageError(f"{where}: the path is not a text")
    item_id = entry.get("id")
    return place, None if item_id is None else str(item_id)


def _place_column(where: str, names: Sequence[str]) -> str:
    for name in _PLACES:
        if name in names:
            return name
    raise UsageError(f"{where} needs a column {' or '.join(_PLACES[:2])}")
