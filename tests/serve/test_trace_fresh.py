"""``--fresh``: rows come into a table at once, and never hold up who notes them."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Iterator

import pytest
from fakes.bigquery import BigQueryFake
from serve.traces import TABLE, URI, as_loaded, row, rows_of
from support import ROOT, wait_until

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace import fresh
from flowers_onnx.serve.trace.fresh import Fresh
from flowers_onnx.serve.trace.row import REQUESTS

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def started(bigquery: BigQueryFake) -> Iterator[Fresh]:
    made = Fresh(URI)
    made.start()
    yield made
    asyncio.run(made.close())
    assert not [each for each in threading.enumerate() if each.name == "flowers-fresh"]


def sent(made: Fresh) -> float:
    return made.gauges()["fresh_rows_sent"]


def test_rows_are_inserted_at_once(bigquery: BigQueryFake, started: Fresh) -> None:
    """Also into a table that has just been made, and can't be seen yet."""
    bigquery.seconds_to_appear = 0.3
    started.note(rows_of(3))
    wait_until(lambda: sent(started) == 3)
    bigquery.requests.clear()
    started.note([row(3, part=1)])
    wait_until(lambda: sent(started) == 4)
    assert bigquery.rows(TABLE) == as_loaded([*rows_of(3), row(3, part=1)])
    assert bigquery.tables[TABLE].resource["timePartitioning"]["field"] == "time"
    assert not bigquery.jobs
    assert started.gauges() == {
        "fresh_rows_waiting": 0,
        "fresh_rows_sent": 4,
        "fresh_rows_dropped": 0,
        "fresh_failures": 0,
    }
    assert len(bigquery.requests) == 1


def test_many_rows_go_in_few_requests(bigquery: BigQueryFake) -> None:
    made = Fresh(URI)
    for first in range(0, 1200, 3):
        made.note(rows_of(3, first))
    made.start()
    asyncio.run(made.close())
    assert bigquery.rows(TABLE) == as_loaded(rows_of(1200))
    assert sum("insertAll" in each for each in bigquery.requests) == 3


def test_an_outage_costs_no_row_and_no_answer(
    bigquery: BigQueryFake, started: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    bigquery.fail("403", "insertAll", 5)
    for number in range(20):
        started.note([row(number)])
    wait_until(lambda: sent(started) == 20)
    assert bigquery.rows(TABLE) == as_loaded(rows_of(20))
    assert started.gauges()["fresh_failures"] == 5
    said = caplog.text
    assert said.count("\n") == 1, "once a minute"
    assert f"--fresh: {URI}: Access Denied: injected; " in said


def test_too_many_rows_push_the_oldest_out(
    bigquery: BigQueryFake, started: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "MOST_WAITING", 10)
    bigquery.fail("403", times=20)
    for number in range(30):
        started.note([row(number)])
        assert started.gauges()["fresh_rows_waiting"] <= 10
    wait_until(lambda: sent(started) and not started.gauges()["fresh_rows_waiting"])
    inserted = [each["request_id"] for each in bigquery.rows(TABLE)]
    assert inserted[-1] == row(29)["request_id"]
    assert sent(started) + started.gauges()["fresh_rows_dropped"] == 30


def test_a_row_that_is_refused_costs_the_others_nothing(
    bigquery: BigQueryFake, started: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    started.note([row(0), {**row(1), "size": "large"}, row(2)])  # type: ignore[typeddict-item]
    wait_until(lambda: sent(started) == 2)
    assert bigquery.rows(TABLE) == as_loaded([row(0), row(2)])
    assert started.gauges()["fresh_rows_dropped"] == 1
    wait_until(lambda: "1 rows are refused: row 1: size: Could not convert" in caplog.text)


def test_the_end_waits_a_little_and_tells_what_is_left(
    bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fresh, "_LAST_SECONDS", 0.1)
    going_on = threading.Event()
    bigquery.before = lambda _request: going_on.wait()
    made = Fresh(URI)
    made.start()
    made.note(rows_of(2))
    wait_until(lambda: bigquery.requests)
    made.note(rows_of(3, 2))
    asyncio.run(made.close())
    assert "3 rows weren't inserted" in caplog.text
    going_on.set()
    wait_until(lambda: sent(made) == 5)


def test_an_end_in_an_outage(bigquery: BigQueryFake) -> None:
    bigquery.fail("403", times=1000)
    made = Fresh(URI)
    made.note(rows_of(2))
    made.start()
    wait_until(lambda: made.gauges()["fresh_failures"])
    asyncio.run(made.close())
    assert len(bigquery.requests) < 100


@pytest.mark.parametrize("uri", ["requests.csv", "gs://bucket/x.jsonl", "bigquery://nothing"])
def test_what_is_no_table_is_told_at_once(uri: str) -> None:
    with pytest.raises(UsageError, match=r"bigquery://project\.dataset\.table"):
        Fresh(uri)


def test_the_view_shows_each_row_once(
    bigquery: BigQueryFake, started: Fresh, tmp_path: object
) -> None:
    """Answers that are lost on their way: the rows are in the table, and are sent again."""
    bigquery.fail("drop_after", "insertAll", 3)
    for number in range(5):
        started.note([row(number), row(number, part=1)])
        wait_until(lambda: sent(started) == 2 * number + 2)  # noqa: B023  it is called here
    assert len(bigquery.rows(TABLE)) > 10
    database = sqlite3.connect(":memory:")
    names = [field.name for field in REQUESTS.fields]
    database.execute(f"CREATE TABLE fresh ({', '.join(names)})")
    database.executemany(
        f"INSERT INTO fresh VALUES ({', '.join('?' * len(names))})",
        [[json.dumps(each[name]) for name in names] for each in bigquery.rows(TABLE)],
    )
    shown = database.execute(in_sqlite((ROOT / "docs/deploy/requests_fresh.sql").read_text()))
    expected = as_loaded([row(number, part=part) for number in range(5) for part in (0, 1)])
    found = [dict(zip(names, map(json.loads, cells), strict=False)) for cells in shown]
    assert sorted(found, key=json.dumps) == sorted(expected, key=json.dumps)
    database.close()


def in_sqlite(view: str) -> str:
    """The query of the view for SQLite, which knows window functions and no QUALIFY."""
    match = re.search(r"SELECT \*\nFROM \S+\nWHERE TRUE\nQUALIFY (.*) = 1;", view)
    assert match
    return f"SELECT * FROM (SELECT *, {match[1]} AS number FROM fresh) WHERE number = 1"
