"""The columns of a row: the one declaration that all sinks derive their own schema from.

``class_id`` is a number in the model that ships and may be text in another. A column has one
type, so it is kept as text: a number as its digits, text as it is, unless it looks like a number;
then as a JSON string. No two ids have the same text, so that a row which is read back and
written again, as every resumed run does, stays the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from flowers_onnx.results import RECORD_SCHEMA
from flowers_onnx.tables.results import Row

Type = Literal["string", "integer", "float", "timestamp", "class_id", "record"]


@dataclass(frozen=True, slots=True)
class Field:
    """A column; ``fields`` are those of a record, ``repeated`` makes it a list of records."""

    name: str
    type: Type
    description: str
    nullable: bool = False
    repeated: bool = False
    fields: tuple[Field, ...] = ()


FIELDS = (
    Field("schema", "string", "version of the result record"),
    Field("path", "string", "the source's URI", nullable=True),
    Field("status", "string", "ok or error"),
    Field("label", "string", "name of the best candidate", nullable=True),
    Field("class_id", "class_id", "the data set's id of that class", nullable=True),
    Field("scientific_name", "string", "its scientific name", nullable=True),
    Field("confidence", "float", "its probability, 0 to 1", nullable=True),
    Field(
        "top",
        "record",
        "the best candidates, best first",
        repeated=True,
        fields=(
            Field("label", "string", "name"),
            Field("class_id", "class_id", "the data set's id of the class"),
            Field("confidence", "float", "probability, 0 to 1"),
        ),
    ),
    Field("sha256", "string", "SHA-256 of the image file", nullable=True),
    Field("width", "integer", "pixels, as displayed", nullable=True),
    Field("height", "integer", "pixels, as displayed", nullable=True),
    Field("model", "string", "name and version of the model"),
    Field(
        "error",
        "record",
        "why there is no answer",
        nullable=True,
        fields=(
            Field("code", "string", "stable code"),
            Field("message", "string", "for people"),
        ),
    ),
    Field("source_uri", "string", "where the image is stored"),
    Field("source_version", "string", "its generation, ETag, or size and time", nullable=True),
    Field("source_id", "string", "what the manifest calls it", nullable=True),
    Field("size", "integer", "bytes", nullable=True),
    Field("run_id", "string", "the run that made this row"),
    Field("processed_at", "timestamp", "when it was made, UTC"),
)


def _flat_columns() -> Iterator[Field]:
    for field in FIELDS:
        if field.repeated or not field.fields:
            yield field
            continue
        for inner in field.fields:
            nullable = field.nullable or inner.nullable
            yield replace(inner, name=f"{field.name}_{inner.name}", nullable=nullable)


#: For formats without nesting: a list is one column of JSON, a record a column for each field.
FLAT = tuple(_flat_columns())

Cell = str | int | float | None


def flatten(row: Row) -> list[Cell]:
    """The values of ``FLAT``."""
    cells: list[Cell] = []
    for field in FIELDS:
        value = row[field.name]
        if field.repeated:
            cells.append(to_json(value))
        elif field.fields:
            cells += [None if value is None else value[inner.name] for inner in field.fields]
        elif field.type == "class_id" and value is not None:
            cells.append(id_to_text(value))
        else:
            cells.append(value)
    return cells


def unflatten(cells: list[Cell]) -> Row:
    """The row of ``flatten``'s values; raises ``ValueError`` where a list isn't JSON."""
    row: Row = {}
    rest = iter(cells)
    for field in FIELDS:
        if field.fields and not field.repeated:
            record = {inner.name: next(rest) for inner in field.fields}
            row[field.name] = None if set(record.values()) == {None} else record
            continue
        value = next(rest)
        if value is not None and field.repeated:
            row[field.name] = json.loads(str(value))
        elif value is not None and field.type == "class_id":
            row[field.name] = text_to_id(str(value))
        else:
            row[field.name] = value
    return row


def to_json(value: Any) -> str:
    """One line of JSON, in the form that all JSON of this program has."""
    return json.dumps(value, ensure_ascii=False)


_DIGITS = re.compile(r"-?[1-9][0-9]*|0")


def id_to_text(class_id: int | str) -> str:
    """A class id as text; see the top of this module."""
    if isinstance(class_id, int):
        return str(class_id)
    if _DIGITS.fullmatch(class_id) or class_id.startswith('"'):
        return to_json(class_id)
    return class_id


def text_to_id(text: str) -> int | str:
    """The class id of ``id_to_text``; raises ``ValueError`` for what it can't have made."""
    if _DIGITS.fullmatch(text):
        return int(text)
    return str(json.loads(text)) if text.startswith('"') else text


def to_time(text: str) -> datetime:
    """``processed_at`` as a time; raises ``ValueError``."""
    return datetime.fromisoformat(text)


def time_to_text(time: datetime) -> str:
    """The only form that ``processed_at`` has: UTC in milliseconds, ending in Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """The time in that form."""
    return time_to_text(datetime.now(UTC))


def convert(
    record: Row,
    converters: Mapping[Type, Callable[[Any], Any]],
    fields: tuple[Field, ...] = FIELDS,
) -> Row:
    """A copy, nested as before, where values of a type go through its converter."""
    converted: Row = {}
    for field in fields:
        value = record[field.name]
        if value is None:
            converted[field.name] = None
        elif field.repeated:
            converted[field.name] = [convert(each, converters, field.fields) for each in value]
        elif field.fields:
            converted[field.name] = convert(value, converters, field.fields)
        else:
            converter = converters.get(field.type)
            converted[field.name] = converter(value) if converter else value
    return converted


def table_row(row: Row) -> Row:
    """``row`` with the types of a BigQuery table, as JSON has them."""
    return convert(row, {"class_id": id_to_text})


def parquet_row(row: Row) -> Row:
    """``row`` with the types of a Parquet file."""
    return convert(row, {"class_id": id_to_text, "timestamp": to_time})


def problem(row: Any) -> str | None:
    """Why ``row`` is no row of this program's version, or None if it is one."""
    if isinstance(row, dict) and row.get("schema", RECORD_SCHEMA) != RECORD_SCHEMA:
        return f"its schema is {row['schema']}, this program's {RECORD_SCHEMA}"
    return next(_problems(row, FIELDS, "row"), None)


def _problems(record: Any, fields: tuple[Field, ...], name: str) -> Iterator[str]:
    if not isinstance(record, dict):
        yield f"{name} is no object"
        return
    known = {field.name for field in fields}
    if record.keys() != known:
        yield from (f"no {field.name}" for field in fields if field.name not in record)
        yield from (f"unknown field {key}" for key in record if key not in known)
        return
    for field in fields:
        yield from _value_problems(record[field.name], field)


def _value_problems(value: Any, field: Field) -> Iterator[str]:
    if field.repeated:
        if not isinstance(value, list):
            yield f"{field.name} is no list"
            return
        for each in value:
            yield from _problems(each, field.fields, field.name)
    elif value is None:
        if not field.nullable:
            yield f"{field.name} is null"
    elif field.fields:
        yield from _problems(value, field.fields, field.name)
    elif not _IS[field.type](value):
        yield f"{field.name} is no {field.type}"


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and time_to_text(to_time(value)) == value
    except ValueError:
        return False


_IS: Mapping[Type, Callable[[Any], bool]] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int,
    "float": lambda value: type(value) is float,
    "class_id": lambda value: type(value) in {int, str},
    "timestamp": _is_time,
}
