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
_REQUIRED = {
    *("schema", "status", "top", "model", "source_uri", "run_id", "processed_at"),
    *("request_id", "part", "time", "method", "route", "total_ms", "instance", "version"),
}
_NUMBERS = {"width", "height", "size", "part"}


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
    fields = [_field(each, "time" not in rows[0]) for each in rows[0]]
    is_trace = "request_id" in rows[0]
    project, dataset, table = name.split(".")
    fake.tables[name] = Table(
        {
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": fields},
            "timePartitioning": {"type": "DAY", "field": "time" if is_trace else "processed_at"},
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
    table, about = (
        ("requests", "request_id") if "request_id" in rows[0] else ("results", "source_uri")
    )
    flat = [_flat(row) for row in rows]
    is_batch = table == "results"
    columns = ", ".join(
        f'"{name}" {_sql_type(name, is_batch)}{" NOT NULL" * (name in _REQUIRED)}'
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


def _sql_type(name: str, is_batch: bool) -> str:
    if name in _NUMBERS or (name == "status" and not is_batch):
        return "INTEGER"
    return "REAL" if name == "confidence" or name.endswith("_ms") else "TEXT"


def _write_parquet(path: Path, rows: list[Row]) -> None:
    """Those of a batch only."""
    text, number = pa.string(), pa.int64()
    candidate = pa.struct(
        [
            pa.field("label", text, nullable=False),
            pa.field("class_id", text, nullable=False),
            pa.field("confidence", pa.float64(), nullable=False),
        ]
    )
    error = pa.struct(
        [pa.field("code", text, nullable=False), pa.field("message", text, nullable=False)]
    )
    types = {
        **dict.fromkeys(_NUMBERS, number),
        "confidence": pa.float64(),
        "top": pa.list_(pa.field("element", candidate, nullable=False)),
        "error": error,
        "processed_at": pa.timestamp("ms", tz="UTC"),
    }
    fields = [
        pa.field(name, types.get(name, text), nullable=name not in _REQUIRED) for name in rows[0]
    ]
    schema = pa.schema(fields, metadata={"flowers_onnx.schema": "1.0"})
    typed = [
        {**typed(row), "processed_at": datetime.fromisoformat(row["processed_at"])} for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(typed, schema), path)


def typed(row: Row) -> Row:
    """Class ids as text; the tests' are numbers."""
    top = [{**each, "class_id": str(each["class_id"])} for each in row["top"]]
    class_id = None if row["class_id"] is None else str(row["class_id"])
    return {**row, "class_id": class_id, "top": top}


def _flat(row: Row) -> Row:
    flat: Row = {}
    for name, value in typed(row).items():
        if name == "error":
            flat |= {f"error_{part}": value and value[part] for part in ("code", "message")}
        else:
            flat[name] = json.dumps(row["top"], ensure_ascii=False) if name == "top" else value
    return flat


def _field(name: str, is_batch: bool) -> Row:
    kinds = {"integer": _NUMBERS | (set() if is_batch else {"status"}), "float": {"confidence"}}
    kind = next((kind for kind, names in kinds.items() if name in names), "string")
    if name.endswith("_ms"):
        kind = "float"
    if name in {"time", "processed_at"}:
        kind = "timestamp"
    mode = "REQUIRED" if name in _REQUIRED else "NULLABLE"
    if name == "top":
        parts = [("label", "STRING"), ("class_id", "STRING"), ("confidence", "FLOAT")]
        return {"name": name, "type": "RECORD", "mode": "REPEATED", "fields": _inner(parts)}
    if name == "error":
        parts = [("code", "STRING"), ("message", "STRING")]
        return {"name": name, "type": "RECORD", "mode": mode, "fields": _inner(parts)}
    return {"name": name, "type": kind.upper(), "mode": mode}


def _inner(parts: list[tuple[str, str]]) -> list[Row]:
    return [{"name": name, "type": kind, "mode": "REQUIRED"} for name, kind in parts]
