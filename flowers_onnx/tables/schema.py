"""The columns of one kind of table: what all sinks derive their own schema from.

``class_id`` is a number in the model that ships and may be text in another. A column has one
type, so it is kept as text: a number as its digits, text as it is, unless it looks like a number;
then as a JSON string. No two ids have the same text, so that a row which is read back and
written again, as every resumed run does, stays the same.

A minor version adds fields. Rows of an earlier one are read as they are, and where they are
written again, what they lack is null, or empty; their ``schema`` goes on saying who made them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from flowers_onnx.record import Field, Timestamp, Type, flat_fields, flat_values, to_json

#: Rows of a large result that stand for all of it.
SAMPLE_ROWS = 1000

#: A row of any schema.
AnyRow = Mapping[str, Any]
Cell = str | int | float | None
Converters = Mapping[Type, Callable[[Any], Any]]


@dataclass(frozen=True)
class Schema:
    """One kind of table: its columns, and what a sink does with some of them.

    ``name`` is that of a table in a file, ``title`` says what a row is; ``version`` is that of
    the columns, ``major.minor``. ``keys`` tell one row from another, the first of them what it
    is about. A large table is cut by the days of ``time`` and sorted by ``group``.

    ``earlier`` are the earlier versions whose rows are still read, each with the names of the
    fields that it hadn't: ones that are nullable, or lists.
    """

    name: str
    title: str
    version: str
    fields: tuple[Field, ...]
    keys: tuple[str, ...]
    time: str
    group: str
    earlier: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)

    @cached_property
    def added(self) -> frozenset[str]:
        """All fields that came after the earliest of these versions."""
        return frozenset[str]().union(*self.earlier.values())

    def of(self, version: str) -> Schema:
        """The schema as it was in a version; raises ``ValueError`` for one that isn't read."""
        if version not in self.readable:
            raise ValueError(self._another(version))
        return self.readable[version]

    @cached_property
    def readable(self) -> Mapping[str, Schema]:
        """The schema and its earlier ones, by version."""
        made = {self.version: self}
        for version, lacking in self.earlier.items():
            fields = tuple(field for field in self.fields if field.name not in lacking)
            made[version] = replace(self, version=version, fields=fields, earlier={})
        return made

    def completed(self, row: AnyRow) -> AnyRow:
        """``row``, with what it lacks because it is of an earlier version."""
        if self.added <= row.keys():
            return row
        whole = self._empty | {**row}
        return {field.name: whole[field.name] for field in self.fields}

    @cached_property
    def _empty(self) -> dict[str, Any]:
        added = (field for field in self.fields if field.name in self.added)
        return {field.name: [] if field.repeated else None for field in added}

    @cached_property
    def flat(self) -> tuple[Field, ...]:
        """For formats without nesting: a list is one column of JSON, a record one a field."""
        return tuple(flat_fields(self.fields))

    def flatten(self, row: AnyRow) -> list[Cell]:
        """The values of ``flat``."""
        values = zip(self.flat, flat_values(self.fields, row), strict=True)
        return [id_to_text(value) if _is_id(field, value) else value for field, value in values]

    def unflatten(self, cells: Iterable[Cell]) -> AnyRow:
        """The row of ``flatten``'s values; raises ``ValueError`` where a list isn't JSON."""
        return unflatten(self.fields, cells)

    def converted(self, row: AnyRow, converters: Converters) -> dict[str, Any]:
        """A copy, nested as before, where values of a type go through its converter."""
        return _converted(row, converters, self._fields_in(row))

    def table_row(self, row: AnyRow) -> dict[str, Any]:
        """``row`` with the types of a BigQuery table, as JSON has them."""
        return self.converted(row, {"class_id": id_to_text})

    def parquet_row(self, row: AnyRow) -> dict[str, Any]:
        """``row`` with the types of a Parquet file."""
        return self.converted(row, {"class_id": id_to_text, "timestamp": to_time})

    def from_typed(self, row: AnyRow) -> AnyRow:
        """The row of a ``parquet_row``, or of a table of BigQuery as its client reads it."""
        return self.converted(row, {"class_id": text_to_id, "timestamp": time_to_text})

    def problem(self, row: Any) -> str | None:
        """Why ``row`` is no row of this version or an earlier one, or None if it is one."""
        fields = self.fields
        if isinstance(row, dict) and (version := row.get("schema", self.version)) != self.version:
            if version not in list(self.earlier):
                return self._another(version)
            if self.earlier[version].isdisjoint(row):  # else it was written again by this one
                fields = self.of(version).fields
        return next(_problems(row, fields, "row"), None)

    def _fields_in(self, row: AnyRow) -> list[Field]:
        """All that a row has to have, and of the others those that it has."""
        return [field for field in self.fields if field.name in row or field.name not in self.added]

    def _another(self, version: object) -> str:
        ours = f"this program's {self.version}"
        return f"its schema is {version}, {ours}: use the flowers that wrote it, or a newer one"


def unflatten(fields: Iterable[Field], cells: Iterable[Cell]) -> AnyRow:
    """The record of the values of ``flat_fields``; raises ``ValueError``."""
    row: dict[str, Any] = {}
    rest = iter(cells)
    for field in fields:
        if field.fields and not field.repeated:
            record = {inner.name: next(rest) for inner in field.fields}
            row[field.name] = None if set(record.values()) == {None} else record
            continue
        value = next(rest)
        if value is not None and field.repeated:
            row[field.name] = json.loads(str(value))
        elif _is_id(field, value):
            row[field.name] = text_to_id(str(value))
        elif field.type == "boolean" and value is not None:
            row[field.name] = _to_boolean(value)
        else:
            row[field.name] = value
    return row


def _to_boolean(cell: Cell) -> bool:
    """Of a text, or of a database that has numbers only."""
    if cell not in (0, 1, "false", "true"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return cell in (1, "true")


def _is_id(field: Field, value: object) -> bool:
    return field.type == "class_id" and value is not None


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
    """A ``Timestamp`` as a time; raises ``ValueError``."""
    return datetime.fromisoformat(text)


def time_to_text(time: datetime) -> Timestamp:
    """The only form of a ``Timestamp``: UTC in milliseconds, ending in Z."""
    text = time.astimezone(UTC).isoformat(timespec="milliseconds")
    return Timestamp(text.replace("+00:00", "Z"))


def utc_now() -> Timestamp:
    """The time in that form."""
    return time_to_text(datetime.now(UTC))


def _converted(record: AnyRow, converters: Converters, fields: Iterable[Field]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for field in fields:
        value = record[field.name]
        if value is None:
            converted[field.name] = None
        elif field.repeated:
            converted[field.name] = [_converted(each, converters, field.fields) for each in value]
        elif field.fields:
            converted[field.name] = _converted(value, converters, field.fields)
        else:
            converter = converters.get(field.type)
            converted[field.name] = converter(value) if converter else value
    return converted


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
    "boolean": lambda value: type(value) is bool,
    "class_id": lambda value: type(value) in {int, str},
    "timestamp": _is_time,
}
