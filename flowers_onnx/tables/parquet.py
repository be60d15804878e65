"""Parquet: nested columns, compressed, a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flowers_onnx.errors import missing_extra
from flowers_onnx.results import RECORD_SCHEMA
from flowers_onnx.tables.results import Row
from flowers_onnx.tables.schema import (
    FIELDS,
    Field,
    convert,
    parquet_row,
    text_to_id,
    time_to_text,
)

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
    "timestamp": pa.timestamp("ms", tz="UTC"),
    "class_id": pa.string(),
}


def _arrow_field(field: Field) -> Any:
    kind = _TYPES.get(field.type) or pa.struct(map(_arrow_field, field.fields))
    if field.repeated:
        kind = pa.list_(pa.field("element", kind, nullable=False))
    return pa.field(field.name, kind, nullable=field.nullable)


SCHEMA = pa.schema(map(_arrow_field, FIELDS), metadata={_VERSION_KEY: RECORD_SCHEMA})


class Parquet:
    """Rows as they are, ``class_id`` as text and ``processed_at`` as a time."""

    def read(self, path: str) -> Iterator[Row]:
        try:
            with pq.ParquetFile(path) as file:
                _check(file.schema_arrow)
                for batch in file.iter_batches(_BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield convert(row, {"class_id": text_to_id, "timestamp": time_to_text})
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise ValueError("it is no Parquet file, or a damaged one") from error

    def write(self, rows: Iterable[Row], path: str) -> None:
        batches = _batches(rows)
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            while group := list(islice(batches, _GROUP_BATCHES)):
                writer.write_table(pa.Table.from_batches(group, SCHEMA))


def _batches(rows: Iterable[Row]) -> Iterator[Any]:
    encoded = map(parquet_row, rows)
    while batch := list(islice(encoded, _BATCH_ROWS)):
        yield pa.RecordBatch.from_pylist(batch, SCHEMA)


def _check(schema: Any) -> None:
    version = (schema.metadata or {}).get(_VERSION_KEY)
    if version is None:
        raise ValueError("its columns are others")
    if version != RECORD_SCHEMA.encode():
        raise ValueError(f"its schema is {version.decode()}, this program's {RECORD_SCHEMA}")
    if not schema.equals(SCHEMA):
        raise ValueError("its columns are others")
