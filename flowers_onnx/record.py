"""The fields of a result record, declared once.

The record is the one shape in which results leave this program, whatever the door:
``docs/result-record.md`` describes it and gives its JSON Schema. Columns of CSV, Parquet, SQLite
and BigQuery are derived from these types, by ``fields_of``.
"""

# No annotations from the future: those of a TypedDict would be compiled one by one, at every start.
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

#: Version of the record: a minor step adds fields, a major step changes or removes some.
RECORD_SCHEMA = "1.1"

#: A number in the model that ships; another's may be text.
ClassId = int | str
#: UTC in milliseconds and ISO 8601, ending in Z.
Timestamp = NewType("Timestamp", str)


class CandidateRecord(TypedDict):
    """One class that the photo may show."""

    label: Annotated[str, "name"]
    class_id: Annotated[ClassId, "the data set's id of the class"]
    confidence: Annotated[float, "probability, 0 to 1"]


class ErrorRecord(TypedDict):
    """Why there is no answer."""

    code: Annotated[str, "stable code"]
    message: Annotated[str, "for people"]


class Record(TypedDict):
    """The answer for one photo, or the error in its place."""

    schema: Annotated[str, "version of the result record"]
    path: Annotated[str | None, "the source's URI"]
    status: Annotated[str, "ok or error"]
    label: Annotated[str | None, "name of the best candidate"]
    class_id: Annotated[ClassId | None, "the data set's id of that class"]
    scientific_name: Annotated[str | None, "its scientific name"]
    confidence: Annotated[float | None, "its probability, 0 to 1"]
    known: Annotated[bool | None, "whether the photo shows one of the model's classes"]
    top: Annotated[list[CandidateRecord], "the best candidates, best first"]
    prediction_set: Annotated[list[CandidateRecord], "the fewest that hold the right one"]
    sha256: Annotated[str | None, "SHA-256 of the image file"]
    width: Annotated[int | None, "pixels, as displayed"]
    height: Annotated[int | None, "pixels, as displayed"]
    model: Annotated[str, "name and version of the model"]
    error: Annotated[ErrorRecord | None, "why there is no answer"]


Type = Literal["string", "integer", "float", "boolean", "timestamp", "class_id", "record"]


class Field(NamedTuple):  # a dataclass takes ten times as long to make, at every start
    """A column; ``fields`` are those of a record, ``repeated`` makes it a list of records."""

    name: str
    type: Type
    description: str
    nullable: bool = False
    repeated: bool = False
    fields: tuple["Field", ...] = ()


@functools.cache
def fields_of(record: type) -> tuple[Field, ...]:
    """The fields of a ``TypedDict`` whose types are annotated with descriptions, in order."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(_field(name, *get_args(hint)) for name, hint in hints.items())


_TYPES: dict[Any, Type] = {
    str: "string",
    int: "integer",
    float: "float",
    bool: "boolean",
    Timestamp: "timestamp",
    ClassId: "class_id",
}


def _field(name: str, hint: Any, description: str) -> Field:
    nullable = get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)
    if nullable:
        hint = Union[tuple(part for part in get_args(hint) if part is not NoneType)]  # noqa: UP007
    repeated = get_origin(hint) is list
    if repeated:
        (hint,) = get_args(hint)
    if is_typeddict(hint):
        return Field(name, "record", description, nullable, repeated, fields_of(hint))
    return Field(name, _TYPES[hint], description, nullable)


def flat_fields(fields: Iterable[Field]) -> Iterator[Field]:
    """Columns for what has no nesting: a list is one of JSON, a record one for each field."""
    for field in fields:
        if field.repeated or not field.fields:
            yield field
            continue
        for inner in field.fields:
            nullable = field.nullable or inner.nullable
            yield inner._replace(name=f"{field.name}_{inner.name}", nullable=nullable)


def flat_values(fields: Iterable[Field], record: Mapping[str, Any]) -> Iterator[Any]:
    """What is in these columns."""
    for field in fields:
        value = record[field.name]
        if field.repeated:
            yield to_json(value)
        elif field.fields:
            yield from (None if value is None else value[inner.name] for inner in field.fields)
        else:
            yield value


def to_text(value: Any) -> Any:
    """A value of ``flat_values`` for a format of texts: true and false as JSON has them."""
    return to_json(value) if isinstance(value, bool) else value


def to_json(value: Any) -> str:
    """One line of JSON, in the form that all JSON of this program has."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
