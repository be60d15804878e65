"""Parquet: nested columns, compressed, a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flowers_onnx.extras import missing_extra
from flowers_onnx.record import Field
from flowers_onnx.tables.schema import AnyRow, Schema

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing_extra("parquet", ".parquet") from error

#: Rows that are Python objects at a time, and rows of a row group: both a few MB.
_BATCH_ROWS = 1_000
_GROUP_BATCHES = 10

_VERSION_KEY = b"flowers_onnx.schema"

_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("ms", tz="UTC"),
    "class_id": pa.string(),
}


def _arrow_field(field: Field) -> Any:
    kind = _TYPES.get(field.type) or pa.struct(map(_arrow_field, field.fields))
    if field.repeated:
        kind = pa.list_(pa.field("element", kind, nullable=False))
    return pa.field(field.name, kind, nullable=field.nullable)


def arrow_schema(schema: Schema) -> Any:
    """The schema of the file."""
    return pa.schema(map(_arrow_field, schema.fields), metadata={_VERSION_KEY: schema.version})


class Parquet:
    """Rows as they are, ``class_id`` as text and a ``Timestamp`` as a time."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._columns = arrow_schema(schema)

    def read(self, path: str) -> Iterator[AnyRow]:
        try:
            with pq.ParquetFile(path) as file:
                schema = self._schema_of(file.schema_arrow)
                for batch in file.iter_batches(_BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield schema.from_typed(row)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise ValueError("it is no Parquet file, or a damaged one") from error

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        batches = self._batches(rows)
        with pq.ParquetWriter(path, self._columns, compression="zstd") as writer:
            while group := list(islice(batches, _GROUP_BATCHES)):
                writer.write_table(pa.Table.from_batches(group, self._columns))

    def _batches(self, rows: Iterable[AnyRow]) -> Iterator[Any]:
        encoded = map(self.schema.parquet_row, rows)
        while batch := list(islice(encoded, _BATCH_ROWS)):
            yield pa.RecordBatch.from_pylist(batch, self._columns)

    def _schema_of(self, found: Any) -> Schema:
        version = (found.metadata or {}).get(_VERSION_KEY)
        if version is None:
            raise ValueError("its columns are others")
        schema = self.schema.of(version.decode(errors="replace"))
        if not found.equals(arrow_schema(schema)):
            raise ValueError("its columns are others")
        return schema
