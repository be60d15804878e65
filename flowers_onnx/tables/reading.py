"""Results that this program has written, whatever the command, the format and the place."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from flowers_onnx.errors import UsageError, from_os_error
from flowers_onnx.results import Result, result_of
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_remote, path_of, suffix_of
from flowers_onnx.tables import format_for
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import AnyRow

#: `flowers classify` writes them too, without the fields of a batch.
_TEXT = (".jsonl", ".json", ".csv")
#: Only a batch does.
_TABLES = (".parquet", ".sqlite")


def read_results(places: Iterable[str]) -> Iterator[Result]:
    """The results at all ``places``, one at a time; ``path`` is the photo's URI or path.

    A place is a path or a URI. Raises ``UsageError`` for what is missing, or no result of this
    program, ``StorageError`` for a bucket that doesn't answer.
    """
    for place in places:
        for number, row in enumerate(_rows(place), start=1):
            try:
                result = result_of({**row, "path": row.get("source_uri") or row["path"] or "-"})
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise _foreign(place, number) from error
            yield result


def _rows(place: str) -> Iterator[AnyRow]:
    suffix = suffix_of(place)
    if suffix not in _TEXT + _TABLES:
        raise UsageError(f"{place}: results end in {', '.join(_TEXT + _TABLES)}")
    with _local(place) as path:
        try:
            if suffix in _TABLES:
                yield from format_for(place, RESULTS).read(path)
            else:
                yield from _text_rows(suffix, path, place)
        except OSError as error:
            raise UsageError(f"{place}: {from_os_error(error)}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise _foreign(place) from error


@contextlib.contextmanager
def _local(place: str) -> Iterator[str]:
    """The path of ``place``, or of a copy that goes with the block."""
    if not is_remote(place):
        path = path_of(place)
        if not os.path.exists(path):
            raise UsageError(f"{place}: no such file or folder")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="flowers-") as folder:
        path = os.path.join(folder, "result")
        if not store_for(place).fetch(place, path):
            raise UsageError(f"{place}: no such object")
        yield path


def _text_rows(suffix: str, path: str, place: str) -> Iterator[AnyRow]:
    with open(path, encoding="utf-8", newline="") as file:
        match suffix:
            case ".jsonl":
                yield from _json_lines(file, place)
            case ".json":
                yield from json.load(file)
            case _:
                yield from _csv_rows(file)


def _json_lines(lines: Iterable[str], place: str) -> Iterator[AnyRow]:
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _foreign(place, number) from error


def _csv_rows(lines: Iterable[str]) -> Iterator[AnyRow]:
    """Rows with the nesting of the record again."""
    try:
        for cells in csv.DictReader(lines, strict=True):
            row: dict[str, Any] = {name: cell or None for name, cell in cells.items()}
            row["top"] = json.loads(row["top"] or "[]")
            row["error"] = {"code": row["error_code"], "message": row["error_message"]}
            yield row
    except (csv.Error, LookupError) as error:
        raise ValueError(str(error)) from error


def _foreign(place: str, number: int | None = None) -> UsageError:
    where = f"{place}, row {number}" if number else place
    return UsageError(f"{where}: not a result of flowers classify or flowers batch")
