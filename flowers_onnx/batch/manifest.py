"""Lists of images: a text file of paths, or a CSV or JSON Lines manifest with ids."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from flowers_onnx.errors import UsageError
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import uri_of

_PLACES = ("path", "uri", "source_uri", "image")


def read_manifest(path: str) -> Iterator[Item]:
    """The images that a list names, in its order; paths are relative to the working directory.

    ``path`` ends in ``.csv`` or ``.jsonl`` for a manifest with a column ``path`` (or ``uri``)
    and maybe ``id``; anything else, or ``-``, has one path or URI a line. Raises
    ``UsageError`` if it can't be read.
    """
    try:
        with _open(path) as file:
            for number, (place, item_id) in enumerate(_entries(path, file), 1):
                yield _item(place, item_id, f"{path}, image {number}")
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error


def _item(place: str, item_id: str | None, where: str) -> Item:
    try:
        store_for(place)  # a scheme that isn't known is told here, with its place in the list
        uri = uri_of(place)
        f"{uri}{item_id or ''}".encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: not UTF-8") from error
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return Item(uri, id=item_id)


def _open(path: str) -> TextIO:
    # Names that are no UTF-8 pass through, as they do everywhere else.
    place = 0 if path == "-" else path
    closes = place != 0
    return open(place, encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=closes)


def _entries(path: str, file: TextIO) -> Iterator[tuple[str, str | None]]:
    suffix = path.lower().rpartition(".")[2]
    if suffix == "csv":
        reader = csv.DictReader(file)
        column = _place_column(path, reader.fieldnames or ())
        for number, row in enumerate(reader, 1):
            if not row[column]:
                raise UsageError(f"{path}, row {number}: no {column}")
            yield row[column], row.get("id") or None
    elif suffix in {"jsonl", "ndjson"}:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_entry(line, f"{path}, line {number}")
    else:
        for line in file:
            if place := line.rstrip("\r\n"):
                yield place, None


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
