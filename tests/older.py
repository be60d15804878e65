"""Results as version 1.0 wrote them, made without the program: its columns are spelled out here."""

from __future__ import annotations

import csv
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fakes.bigquery import BigQueryFake, Table

Row = dict[str, Any]

#: Behind the record's fields.
BATCH = ("source_uri", "source_version", "source_id", "size", "run_id", "processed_at")
RECORD = (
    *("schema", "path", "status", "label", "class_id", "scientific_name", "confidence", "top"),
    *("sha256", "width", "height", "model", "error"),
)
TRACE = (
    *("schema", "request_id", "part", "client_request_id", "idempotency_key", "replay_of"),
    *("trace_id", "time", "key_id", "client_address", "method", "route", "status", "sha256"),
    *("kept_sha256", "photo", "size", "media_type", "width", "height", "label", "class_id"),
    *("scientific_name", "confidence", "top", "lang", "model", "error", "queue_ms", "read_ms"),
    *("decode_ms", "preprocess_ms", "inference_ms", "total_ms", "instance", "version"),
)
_NUMBERS = {"width", "height", "size", "part"}


def _kind(name: str, *, is_batch: bool) -> str:
    if name in _NUMBERS or (name == "status" and not is_batch):
        return "integer"
    if name == "confidence" or name.endswith("_ms"):
        return "float"
    return "timestamp" if name in {"time", "processed_at"} else "string"


def _is_required(name: str, *, is_batch: bool) -> bool:
    if is_batch:
        return name in {"schema", "status", "top", "model", "source_uri", "run_id", "processed_at"}
    return name in {
        *("schema", "request_id", "part", "time", "method", "route", "status", "top"),
        *("total_ms", "instance", "version"),
    }


def older(row: Mapping[str, Any], names: Iterable[str] = (*RECORD, *BATCH)) -> Row:
    """A row as 1.0 would have made it."""
    return {name: "1.0" if name == "schema" else row[name] for name in names}


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def journal(rows: Iterable[Mapping[str, Any]], *, complete: bool = False) -> bytes:
    lines = [{"journal": 1, "schema": "1.0"}, *rows, *([{"complete": True}] if complete else [])]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def write(path: Path, rows: list[Row]) -> None:
    """A file of whatever its suffix says; the rows are ``older`` ones."""
    match path.suffix:
        case ".jsonl":
            path.write_text(json_lines(rows), encoding="utf-8")
        case ".csv":
            _write_csv(path, rows)
        case ".sqlite":
            _write_sqlite(path, rows)
        case ".parquet":
            _write_parquet(path, rows)


def fill(fake: BigQueryFake, name: str, rows: list[Row]) -> None:
    """A table of BigQuery with ``rows``."""
    is_batch = _is_batch(rows)
    fields = [_field(each, is_batch=is_batch) for each in rows[0]]
    project, dataset, table = name.split(".")
    fake.tables[name] = Table(
        {
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": fields},
            "timePartitioning": {"type": "DAY", "field": "processed_at" if is_batch else "time"},
            "clustering": {"fields": ["label"]},
            "id": f"{project}:{dataset}.{table}",
            "creationTime": "1764000000123",
            "etag": "first",
            "location": "US",
            "type": "TABLE",
        },
        [typed(row) for row in rows],
        time.monotonic() - 1000,
    )


def _write_csv(path: Path, rows: list[Row]) -> None:
    flat = [_flat(row) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, list(flat[0]), lineterminator="\n")
        lines.writeheader()
        lines.writerows(flat)


def _write_sqlite(path: Path, rows: list[Row]) -> None:
    is_batch = _is_batch(rows)
    table, about = ("results", "source_uri") if is_batch else ("requests", "request_id")
    flat = [_flat(row) for row in rows]
    types = {"integer": "INTEGER", "float": "REAL"}
    columns = ", ".join(
        f'"{name}" {types.get(_kind(name, is_batch=is_batch), "TEXT")}'
        + " NOT NULL" * _is_required(name, is_batch=is_batch)
        for name in flat[0]
    )
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {0x666C6F77}")
    connection.execute("PRAGMA user_version = 1000")
    connection.execute(f"CREATE TABLE {table} ({columns})")
    places = ", ".join("?" * len(flat[0]))
    connection.executemany(f"INSERT INTO {table} VALUES ({places})", [[*r.values()] for r in flat])
    connection.execute(f"CREATE INDEX {table}_{about} ON {table} ({about})")
    connection.commit()
    connection.close()


def _write_parquet(path: Path, rows: list[Row]) -> None:
    is_batch = _is_batch(rows)
    types = {
        "string": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "timestamp": pa.timestamp("ms", tz="UTC"),
    }
    inner = {
        name: pa.struct([pa.field(part, types[kind], nullable=False) for part, kind in parts])
        for name, parts in _INNER.items()
    }
    nested = {**inner, "top": pa.list_(pa.field("element", inner["top"], nullable=False))}
    fields = [
        pa.field(
            name,
            nested.get(name) or types[_kind(name, is_batch=is_batch)],
            nullable=not _is_required(name, is_batch=is_batch),
        )
        for name in rows[0]
    ]
    schema = pa.schema(fields, metadata={"flowers_onnx.schema": "1.0"})
    when = "processed_at" if is_batch else "time"
    timed = [{**typed(row), when: datetime.fromisoformat(row[when])} for row in rows]
    pq.write_table(pa.Table.from_pylist(timed, schema), path)


def typed(row: Row) -> Row:
    """Class ids as text; the tests' are numbers."""
    top = [{**each, "class_id": str(each["class_id"])} for each in row["top"]]
    class_id = None if row["class_id"] is None else str(row["class_id"])
    return {**row, "class_id": class_id, "top": top}


def _is_batch(rows: list[Row]) -> bool:
    return "request_id" not in rows[0]


def _flat(row: Row) -> Row:
    flat: Row = {}
    for name, value in typed(row).items():
        if name == "error":
            flat |= {f"error_{part}": value and value[part] for part in ("code", "message")}
        else:
            flat[name] = json.dumps(row["top"], ensure_ascii=False) if name == "top" else value
    return flat


_INNER = {
    "top": [("label", "string"), ("class_id", "string"), ("confidence", "float")],
    "error": [("code", "string"), ("message", "string")],
}


def _field(name: str, *, is_batch: bool) -> Row:
    """A column as BigQuery's API has it."""
    mode = "REQUIRED" if _is_required(name, is_batch=is_batch) else "NULLABLE"
    if name in _INNER:
        parts = [
            {"name": part, "type": kind.upper(), "mode": "REQUIRED"} for part, kind in _INNER[name]
        ]
        mode = "REPEATED" if name == "top" else mode
        return {"name": name, "type": "RECORD", "mode": mode, "fields": parts}
    return {"name": name, "type": _kind(name, is_batch=is_batch).upper(), "mode": mode}
