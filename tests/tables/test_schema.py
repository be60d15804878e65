"""Sinks take any schema: a trace of requests has other columns than a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

import pytest
from fakes.bigquery import BigQueryFake

from flowers_onnx.errors import UsageError
from flowers_onnx.record import CandidateRecord, ClassId, ErrorRecord, Timestamp, fields_of
from flowers_onnx.tables import SUFFIXES, sink_for
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import Schema


class Trace(TypedDict):
    """Every type that a column can have, with and without nulls."""

    request_id: Annotated[str, "made here"]
    client_id: Annotated[str | None, "made there"]
    at: Annotated[Timestamp, "when"]
    cached_at: Annotated[Timestamp | None, "when it was answered before"]
    status: Annotated[int, "HTTP"]
    size: Annotated[int | None, "bytes"]
    seconds: Annotated[float, "until the answer"]
    class_id: Annotated[ClassId | None, "the answer"]
    top: Annotated[list[CandidateRecord], "candidates"]
    error: Annotated[ErrorRecord | None, "problem"]


TRACE = Schema(
    name="requests",
    title="Requests, a row each",
    version="3.7",
    fields=fields_of(Trace),
    keys=("request_id",),
    time="at",
    group="status",
)

ROWS: list[Trace] = [
    {
        "request_id": "0190",
        "client_id": None,
        "at": Timestamp("2026-11-25T12:00:00.123Z"),
        "cached_at": None,
        "status": 200,
        "size": 12,
        "seconds": 0.25,
        "class_id": "60",
        "top": [{"label": "a", "class_id": 60, "confidence": 0.5}],
        "error": None,
    },
    {
        "request_id": "0191",
        "client_id": "",
        "at": Timestamp("2026-11-25T12:00:01.000Z"),
        "cached_at": Timestamp("2026-11-25T12:00:00.000Z"),
        "status": 422,
        "size": None,
        "seconds": 1e-9,
        "class_id": None,
        "top": [],
        "error": {"code": "too_large", "message": "x"},
    },
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_another_schema(tmp_path: Path, suffix: str) -> None:
    place = str(tmp_path / f"rows{suffix}")
    sink_for(place, TRACE).publish(ROWS)
    assert list(sink_for(place, TRACE).existing()) == ROWS
    with pytest.raises(UsageError, match="is not a result that can be continued"):
        list(sink_for(place, RESULTS).existing())


def test_a_table_of_another_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    with BigQueryFake() as fake:
        for name, value in fake.env.items():
            monkeypatch.setenv(name, value)
        uri = "bigquery://project.dataset.requests"
        sink_for(uri, TRACE).publish(ROWS)
        assert list(sink_for(uri, TRACE).existing()) == [
            {"request_id": row["request_id"]} for row in ROWS
        ]
        with pytest.raises(UsageError, match="is a table of another schema"):
            list(sink_for(uri, RESULTS).existing())


def test_every_column_says_what_it_is() -> None:
    for field in (*TRACE.fields, *RESULTS.fields):
        assert field.description
        assert bool(field.fields) == (field.type == "record")
    assert [field.name for field in TRACE.flat][-3:] == ["top", "error_code", "error_message"]
    assert [field.nullable for field in TRACE.flat][-3:] == [False, True, True]
