"""The BigQuery sink against a strict fake: every row once, whatever fails on the way."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.bigquery import BigQueryFake, Kind
from support import Row, make_row, result_sink

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.record import to_json
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.tables import bigquery
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import Schema

TABLE = "project.dataset.flowers"
URI = f"bigquery://{TABLE}"
KEYS = ("status", "source_uri", "source_version", "source_id", "run_id")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryFake]:
    with BigQueryFake() as server:
        use(server, monkeypatch)
        yield server


def use(server: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are for a service far away; only tenths of their length here."""
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.02)))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery, "PART_BYTES", 2000)


def rows_of(count: int, run: str = "run") -> list[Row]:
    rows = []
    for number in range(count):
        item = Item(f"gs://bucket/{number:04}.jpg", str(number), 7, "id" if number % 2 else None)
        result: Prediction | Failure
        if number % 5:
            top = (Candidate("rosa «silvestre»", 60, 0.1 + 0.2), Candidate("b", "60", 1e-12))
            result = Prediction(top, None, None, "ab" * 32, 3, 4, "flowers/1.0")
        else:
            result = Failure("is_empty", "zero\n«bytes»", None, None, "flowers/1.0")
        rows.append(make_row(item, result, run, "2026-11-23T12:00:00.120Z"))
    return rows


def keys(rows: list[Row]) -> list[Row]:
    return [{name: row[name] for name in KEYS} for row in rows]


def uris(fake: BigQueryFake) -> list[str]:
    return [row["source_uri"] for row in fake.rows(TABLE)]


def as_loaded(row: Row) -> Row:
    top = [{**each, "class_id": ['"60"', "60"][each["class_id"] == 60]} for each in row["top"]]
    return {**row, "class_id": "60" if row["class_id"] else None, "top": top}


def test_the_table_is_made_and_filled(fake: BigQueryFake) -> None:
    sink = result_sink(URI)
    assert sink.appends
    assert list(sink.existing()) == []
    rows = rows_of(12)
    sink.publish(iter(rows))
    assert fake.rows(TABLE) == [as_loaded(row) for row in rows]
    assert list(sink.existing()) == keys(rows)
    table = fake.tables[TABLE].resource
    assert table["timePartitioning"] == {"type": "DAY", "field": "processed_at"}
    assert table["clustering"] == {"fields": ["label"]}
    assert all(field["description"] for field in table["schema"]["fields"])


def test_a_second_run_appends(fake: BigQueryFake) -> None:
    first, second = rows_of(3, "first"), rows_of(4, "second")
    result_sink(URI).publish(first)
    result_sink(URI).publish(second)
    assert list(result_sink(URI).existing()) == keys(first + second)


def test_existing_rows_come_in_pages_and_cost_no_query(fake: BigQueryFake) -> None:
    result_sink(URI).publish(rows_of(20))
    fake.page_rows = 7
    fake.requests.clear()
    assert list(result_sink(URI).existing()) == keys(rows_of(20))
    assert [request.partition("?")[0].rpartition("/")[2] for request in fake.requests] == [
        "flowers", "data", "data", "data",
    ]  # fmt: skip


@pytest.mark.usefixtures("small_parts")
def test_publishing_again_loads_nothing_twice(fake: BigQueryFake) -> None:
    rows = rows_of(20)
    for _ in range(3):
        result_sink(URI).publish(iter(rows))
    assert len(fake.jobs) > 5
    assert fake.rows(TABLE) == [as_loaded(row) for row in rows]


@pytest.mark.usefixtures("small_parts")
def test_a_publication_that_broke_off_goes_on(fake: BigQueryFake) -> None:
    rows = rows_of(20)

    def broken() -> Iterator[Row]:
        yield from rows[:11]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_sink(URI).publish(broken())
    loaded = uris(fake)
    assert 0 < len(loaded) < 11
    result_sink(URI).publish(iter(rows))
    assert uris(fake) == [row["source_uri"] for row in rows]
    # The caller may leave out what the table has: parts begin where the earlier ones ended.
    result_sink(URI).publish(iter(rows[len(loaded) :]))
    assert uris(fake) == [row["source_uri"] for row in rows]


def test_a_job_that_still_runs_is_waited_for(
    fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.job_polls = 4

    def killed(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", killed)  # between two looks at the job
        with pytest.raises(KeyboardInterrupt):
            result_sink(URI).publish(rows_of(3))
    assert uris(fake) == []
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3
    assert len(fake.jobs) == 1


REQUESTS = [
    "GET .*/tables/flowers",
    "GET .*/datasets/dataset",
    "POST .*/tables",
    "GET .*/jobs/",
    "POST /upload",
    "PUT /upload",
]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("kind", ["503", "drop_before", "drop_after"])
def test_a_fault_costs_no_row_and_doubles_none(
    kind: Kind, request_: str, fake: BigQueryFake
) -> None:
    rows = rows_of(8)
    fake.fail(kind, request_, times=2)
    result_sink(URI).publish(iter(rows))
    assert not fake._faults
    assert fake.rows(TABLE) == [as_loaded(row) for row in rows]
    fake.fail(kind, "/data")
    assert list(result_sink(URI).existing()) == keys(rows)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_at_random(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(60)
    with BigQueryFake(rate=0.1, seed=seed, job_polls=2, seconds_to_appear=0.1) as fake:
        use(fake, monkeypatch)
        result_sink(URI).publish(iter(rows))
        assert fake.rows(TABLE) == [as_loaded(row) for row in rows]


def test_an_upload_whose_session_is_forgotten(fake: BigQueryFake) -> None:
    """The answer to the last chunk is lost, and the session with it, but not the job."""
    fake.fail("drop_after", "PUT /upload")
    forget = fake._insert_job

    def insert(upload: Any, **options: Any) -> Any:
        answer = forget(upload, **options)
        fake._uploads.clear()
        return answer

    fake._insert_job = insert  # type: ignore[method-assign]
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("times", [1, 4])
def test_a_failed_job_is_followed_by_another(fake: BigQueryFake, times: int) -> None:
    fake.fail("job_fails", "PUT /upload", times)
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3
    assert len(fake.jobs) == times + 1


def test_jobs_that_fail_again_and_again(fake: BigQueryFake) -> None:
    fake.fail("job_fails", "PUT /upload", 5)
    with pytest.raises(OutputError, match=f"can't load into {URI}: injected"):
        result_sink(URI).publish(rows_of(3))
    assert uris(fake) == []
    result_sink(URI).publish(rows_of(3))  # the next run finds five ids used up
    assert len(uris(fake)) == 3
    assert len(fake.jobs) == 6


def test_a_row_that_the_table_refuses(fake: BigQueryFake) -> None:
    bad = {**rows_of(1)[0], "size": "large"}
    with pytest.raises(OutputError, match="row 1: size: Could not convert"):
        result_sink(URI).publish([bad])
    assert len(fake.jobs) == 1


def test_a_new_table_takes_a_while_to_appear(fake: BigQueryFake) -> None:
    fake.seconds_to_appear = 0.2
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3


def test_a_table_that_a_killed_run_has_just_made(fake: BigQueryFake) -> None:
    result_sink(URI).publish([])
    fake.seconds_to_appear = 0.3 + time.monotonic() - fake.tables[TABLE].created
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3


def test_a_table_that_was_made_anew_is_filled_anew(
    fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    result_sink(URI).publish(rows_of(3))
    del fake.tables[TABLE]
    result_sink(URI).publish(rows_of(3))
    assert len(uris(fake)) == 3


def make_table(fake: BigQueryFake, *fields: dict[str, Any]) -> None:
    result_sink(URI).publish([])
    assert fake.rows(TABLE) == []
    changed = {field["name"]: field for field in fields}
    schema = fake.tables[TABLE].resource["schema"]
    known = {field["name"]: field for field in schema["fields"]}
    schema["fields"] = [field for field in (known | changed).values() if "type" in field]


def test_columns_of_the_users_own_are_left_alone(fake: BigQueryFake) -> None:
    make_table(fake, {"name": "note", "type": "STRING", "mode": "NULLABLE"})
    result_sink(URI).publish(rows_of(3))
    assert list(result_sink(URI).existing()) == keys(rows_of(3))


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ({"name": "sha256"}, "no column sha256"),
        ({"name": "size", "type": "STRING", "mode": "NULLABLE"}, "size is STRING, not INTEGER"),
        ({"name": "width", "type": "INTEGER", "mode": "REQUIRED"}, "width must allow NULL"),
        ({"name": "mine", "type": "STRING", "mode": "REQUIRED"}, "mine is required"),
        (
            {"name": "top", "type": "STRING", "mode": "REPEATED"},
            "top is STRING REPEATED, not RECORD REPEATED",
        ),
        (
            {
                "name": "error",
                "type": "RECORD",
                "mode": "NULLABLE",
                "fields": [{"name": "code", "type": "STRING", "mode": "NULLABLE"}],
            },
            "no column error.message",
        ),
    ],
)
def test_a_table_of_another_schema_is_refused(
    fake: BigQueryFake, field: dict[str, Any], why: str
) -> None:
    make_table(fake, field)
    for use_it in (lambda sink: list(sink.existing()), lambda sink: sink.publish(rows_of(1))):
        with pytest.raises(UsageError, match=f"{URI} is a table of another schema: {why}"):
            use_it(result_sink(URI))
    assert not fake.jobs


def test_a_table_made_with_the_names_of_sql(fake: BigQueryFake) -> None:
    make_table(fake)
    for field in fake.tables[TABLE].resource["schema"]["fields"]:
        field["type"] = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "RECORD": "STRUCT"}.get(
            field["type"], field["type"]
        )
    assert list(result_sink(URI).existing()) == []


def test_a_dataset_that_does_not_exist(fake: BigQueryFake) -> None:
    sink = result_sink("bigquery://project.other.flowers")
    with pytest.raises(UsageError, match=r"no dataset project\.other; make it with: bq mk"):
        list(sink.existing())


def test_a_refusal_is_one_line(fake: BigQueryFake) -> None:
    fake.fail("403", "GET .*/tables/flowers")
    with pytest.raises(OutputError, match=f"^{URI}: Access Denied: injected$"):
        list(result_sink(URI).existing())


def test_nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(UsageError, match="no Google credentials"):
        result_sink(URI)


def test_the_fake_is_strict(fake: BigQueryFake) -> None:
    make_table(fake)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"surprise": 1}, "No such field: surprise"),
        ({"model": None}, "Missing required field: model"),
        ({"width": "3"}, "width: Could not convert"),
        ({"processed_at": "today"}, "processed_at: Could not convert"),
        ({"top": None}, "top: Only an array can be repeated"),
    ]
    for changes, why in refused:
        row = as_loaded(rows_of(2)[1]) | changes
        with pytest.raises(OutputError, match=why):
            load_directly(row)
    assert fake.rows(TABLE) == []


def load_directly(row: Row) -> None:
    """Past the sink, which would never send such a row."""
    sink = result_sink(URI)
    assert isinstance(sink, bigquery.BigQueryTable)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Schema, "table_row", lambda _schema, each: each)
        sink.publish([row])


def named(fake: BigQueryFake, rows: list[Row], name: str = "one") -> bool:
    sink = result_sink(URI)
    assert isinstance(sink, bigquery.BigQueryTable)
    return sink.publish_once(name, iter(rows), sink.identity())


def test_a_name_is_loaded_once_whatever_the_rows(fake: BigQueryFake) -> None:
    assert named(fake, rows_of(3))
    assert not named(fake, rows_of(5))
    assert uris(fake) == [row["source_uri"] for row in rows_of(3)]
    assert named(fake, rows_of(3), "two")
    assert len(uris(fake)) == 6


@pytest.mark.parametrize("kind", ["503", "drop_before", "drop_after", "job_fails"])
@pytest.mark.parametrize("request_", ["GET .*/jobs/", "POST /upload", "PUT /upload"])
def test_a_fault_doubles_no_name(kind: Kind, request_: str, fake: BigQueryFake) -> None:
    fake.fail(kind, request_, times=2)
    assert named(fake, rows_of(3))
    assert not named(fake, rows_of(5))
    assert len(uris(fake)) == 3


def test_a_name_whose_jobs_failed_is_loaded_by_the_next(fake: BigQueryFake) -> None:
    fake.fail("job_fails", "PUT /upload", 5)
    with pytest.raises(OutputError, match="injected"):
        named(fake, rows_of(3))
    assert named(fake, rows_of(5))  # what was wrong with the rows may be mended
    assert len(uris(fake)) == 5
    assert len(fake.jobs) == 6


def test_parts_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery, "PART_BYTES", 1000)
    rows = rows_of(30)

    def digests(rows: list[Row]) -> list[tuple[int, str]]:
        lines = [to_json(RESULTS.table_row(row)).encode() + b"\n" for row in rows]
        parts = bigquery._parts(iter(lines), "t")
        return [(len(part.read()), digest) for part, digest in parts if not part.seek(0)]

    whole = digests(rows)
    assert len({digest for _, digest in whole}) == len(whole) > 3
    assert all(0 < size <= 1000 for size, _ in whole)
    sizes = list(itertools.accumulate(size for size, _ in whole))
    assert sizes[-1] > 1000
    monkeypatch.setattr(bigquery, "PART_BYTES", 10)  # less than a row
    assert len(digests(rows)) == 30
