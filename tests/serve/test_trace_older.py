"""Traces, and tables of them, that servers and loaders of version 1.0 have made."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import older
import pytest
from fakes.bigquery import BigQueryFake
from serve.traces import TABLE, URI, as_loaded, put, row
from serving import StartServer
from support import posix, wait_until

from flowers_onnx.serve.trace.fresh import Fresh
from flowers_onnx.serve.trace.load import Clock, run
from flowers_onnx.serve.trace.options import LoadOptions
from flowers_onnx.serve.trace.row import REQUESTS
from flowers_onnx.tables import SUFFIXES, sink_for

NEW = ("known", "prediction_set", "min_confidence")


pytestmark = pytest.mark.usefixtures("short_pauses")


def old(*numbers: int) -> list[dict[str, Any]]:
    return [older.older(row(number), older.TRACE) for number in numbers]


def load(trace: Path, to: Path | str) -> None:
    times = iter(range(1795608000, 1795708000, 100))
    options = LoadOptions(str(trace), str(to), follow=False)
    assert run(options, Clock(lambda: next(times), lambda _seconds: None)) == 0


def columns(bigquery: BigQueryFake) -> list[str]:
    return [each["name"] for each in bigquery.tables[TABLE].resource["schema"]["fields"]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_both_versions_come_into_a_file_of_1_0(tmp_path: Path, suffix: str) -> None:
    trace, to = tmp_path / "trace", tmp_path / f"requests{suffix}"
    older.write(to, old(1, 7))
    put(trace, old(1, 7, 2), 0)  # two of them are in it
    put(trace, [row(3, known=False, min_confidence=0.5)], 1)
    load(trace, to)
    found = list(sink_for(str(to), REQUESTS).existing())
    empty: dict[str, Any] = {"known": None, "prediction_set": [], "min_confidence": None}
    assert found == [
        *({**each, **empty} for each in old(1, 7, 2)),
        row(3, known=False, min_confidence=0.5),
    ]


def test_both_versions_come_into_a_table_of_1_0(bigquery: BigQueryFake, tmp_path: Path) -> None:
    older.fill(bigquery, TABLE, old(9))
    put(tmp_path / "trace", old(1, 7), 0)
    put(tmp_path / "trace", [row(2, known=True)], 1)
    load(tmp_path / "trace", URI)
    assert columns(bigquery) == [*old(9)[0], *NEW]
    loaded = [older.typed(each) for each in old(9, 1, 7)]
    assert bigquery.rows(TABLE) == [*loaded, *as_loaded([row(2, known=True)])]
    load(tmp_path / "trace", URI)
    assert len(bigquery.rows(TABLE)) == 4


def test_fresh_rows_wait_until_the_service_sees_the_columns(bigquery: BigQueryFake) -> None:
    older.fill(bigquery, TABLE, old(9))
    bigquery.stale_inserts = 3
    made = Fresh(URI)
    made.start()
    made.note([row(1, known=True), row(2)])
    wait_until(lambda: made.gauges()["fresh_rows_sent"] == 2)
    asyncio.run(made.close())
    assert columns(bigquery) == [*old(9)[0], *NEW]
    assert bigquery.rows(TABLE)[1:] == as_loaded([row(1, known=True), row(2)])
    assert made.gauges()["fresh_rows_dropped"] == 0


@posix
def test_a_server_keeps_what_is_known(
    start_server: StartServer, sample: Path, tmp_path: Path
) -> None:
    server = start_server("--min_confidence", "1", "--trace", tmp_path, "--durability", "strict")
    assert server.classify(sample.read_bytes()).json["known"] is False
    assert server.classify(sample.read_bytes(), "min_confidence=0.25").json["known"] is True
    texts = [path.read_text() for path in sorted(tmp_path.glob("dt=*/*"))]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    assert [(each["known"], each["min_confidence"]) for each in rows] == [(False, 1), (True, 0.25)]
    assert {each["schema"] for each in rows} == {"1.1"}
    assert b"looks like none of them" in server.ask("GET", "/").body
