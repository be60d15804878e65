"""The columns of a BigQuery table, and how those of a table that is there differ from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from google.api_core import exceptions
from google.cloud import bigquery

from flowers_onnx.record import Field
from flowers_onnx.tables.schema import Schema

_TYPES = {
    "string": "STRING",
    "integer": "INTEGER",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "class_id": "STRING",
    "record": "RECORD",
}
#: The names that SQL gives to types; the API uses the older ones.
_SYNONYMS = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


def _schema_field(field: Field) -> bigquery.SchemaField:
    mode = "REPEATED" if field.repeated else "NULLABLE" if field.nullable else "REQUIRED"
    return bigquery.SchemaField(
        field.name,
        _TYPES[field.type],
        mode=mode,
        description=field.description,
        fields=tuple(map(_schema_field, field.fields)),
    )


def table_schema(schema: Schema) -> tuple[bigquery.SchemaField, ...]:
    """The columns of the table."""
    return tuple(map(_schema_field, schema.fields))


def extended(client: bigquery.Client, table: bigquery.Table, schema: Schema) -> bigquery.Table:
    """``table`` with the columns that came after the version of the rows which it was made by.

    Its rows have null in these, or nothing.
    """
    while lacking := _lacking(schema, table):
        table.schema = [*table.schema, *lacking]
        try:
            table = client.update_table(table, ["schema"])
        except exceptions.PreconditionFailed:  # another run has changed it meanwhile
            table = client.get_table(table.reference)
    return table


def _lacking(schema: Schema, table: bigquery.Table) -> list[bigquery.SchemaField]:
    there = {field.name.lower() for field in table.schema}
    return [field for field in table_schema(schema) if field.name not in there]


def differences(
    wanted: Iterable[bigquery.SchemaField],
    found: Iterable[bigquery.SchemaField],
    prefix: str = "",
    *,
    added: Collection[str] = (),
) -> Iterator[str]:
    """Why rows of ``wanted`` don't fit into a table of ``found``.

    Columns of its own may be, and those of ``added`` may lack.
    """
    by_name = {field.name.lower(): field for field in found}
    for field in wanted:
        name = prefix + field.name
        other = by_name.pop(field.name, None)
        if other is None and name in added:
            continue
        if other is None:
            yield f"no column {name}"
        elif (kind := _kind(other)) != _kind(field):
            yield f"{name} is {kind}, not {_kind(field)}"
        elif other.mode == "REQUIRED" and field.mode != "REQUIRED":
            yield f"{name} must allow NULL"
        else:
            yield from differences(field.fields, other.fields, f"{name}.")
    for other in by_name.values():
        if other.mode == "REQUIRED":
            yield f"{prefix}{other.name} is required, and is none of the result's"


def _kind(field: bigquery.SchemaField) -> str:
    kind = _SYNONYMS.get(field.field_type, field.field_type)
    return f"{kind} REPEATED" if field.mode == "REPEATED" else kind
