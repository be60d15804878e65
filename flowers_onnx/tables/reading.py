"""Results that this program has written, whatever the command, the format and the place."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain

from flowers_onnx.errors import UsageError, from_os_error
from flowers_onnx.record import Record, fields_of, flat_fields
from flowers_onnx.results import Result, result_of
from flowers_onnx.scratch import scratch_folder
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import DARWIN_CORE, is_remote, path_of, suffix_of
from flowers_onnx.tables import format_for
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import AnyRow, unflatten
from flowers_onnx.text import open_lines

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


def check_result(place: str) -> None:
    """Raise ``UsageError`` for what is no result by its name, or isn't there on this machine."""
    if suffix_of(place) == DARWIN_CORE:
        raise UsageError(
            f"{place}: Darwin Core has no row for what failed or isn't known; report a result "
            "that has: flowers batch ... --out results.jsonl"
        )
    if suffix_of(place) not in _TEXT + _TABLES:
        raise UsageError(f"{place}: results end in {', '.join(_TEXT + _TABLES)}")
    if is_remote(place):
        return
    store_for(place)  # tells of a scheme that isn't known
    if not os.path.exists(path_of(place)):
        raise UsageError(f"{place}: no such file or folder")


def _rows(place: str) -> Iterator[AnyRow]:
    check_result(place)
    suffix = suffix_of(place)
    with _local(place) as path:
        try:
            if suffix not in _TABLES:
                yield from _text_rows(suffix, path, place)
            elif os.stat(path).st_size:  # nothing is no rows, as in a text
                yield from format_for(place, RESULTS).read(path)
        except OSError as error:
            raise UsageError(f"{place}: {from_os_error(error)}") from error
        except (ValueError, TypeError, RecursionError) as error:
            reason = f": {error}" if suffix in _TABLES else ""
            raise UsageError(f"{_foreign(place)}{reason}") from error


@contextlib.contextmanager
def _local(place: str) -> Iterator[str]:
    """The path of ``place``, or of a copy that goes with the block."""
    if not is_remote(place):
        yield path_of(place)
        return
    with scratch_folder() as folder:
        path = os.path.join(folder, "result")
        if not store_for(place).fetch(place, path):
            raise UsageError(f"{place}: no such object")
        yield path


def _text_rows(suffix: str, path: str, place: str) -> Iterator[AnyRow]:
    with open_lines(path, place) as lines:
        match suffix:
            case ".jsonl":
                yield from _json_lines(lines, place)
            case ".json":
                yield from json.loads("".join(lines))
            case _:
                header = next(lines, "")
                if header.count(";") > header.count(","):
                    raise UsageError(
                        f"{place} has semicolons, as spreadsheets save it; give the file that "
                        "flowers wrote"
                    )
                yield from _csv_rows(chain([header], lines))


def _json_lines(lines: Iterable[str], place: str) -> Iterator[AnyRow]:
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _foreign(place, number) from error


def _csv_rows(lines: Iterable[str]) -> Iterator[AnyRow]:
    """Rows with the nesting of the record again."""
    try:
        reader = csv.DictReader(lines, strict=True)
        lacking = RESULTS.added.difference(reader.fieldnames or ())  # in an earlier version's
        declared = [field for field in fields_of(Record) if field.name not in lacking]
        columns = [column.name for column in flat_fields(declared)]
        for cells in reader:
            record = unflatten(declared, (cells[name] or None for name in columns))
            yield {**cells, **record}
    except (csv.Error, LookupError) as error:
        raise ValueError(str(error)) from error


def _foreign(place: str, number: int | None = None) -> UsageError:
    where = f"{place}, row {number}" if number else place
    return UsageError(f"{where}: not a result of flowers classify or flowers batch")
