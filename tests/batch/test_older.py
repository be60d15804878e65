"""Results, tables and journals of version 1.0 are read, reported and continued."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import older
import pytest
from batch.test_batch_output import MemoryStore
from fakes.bigquery import BigQueryFake
from support import Row, Run, make_row, noise_pictures, result_sink

from flowers_onnx.batch.output import Output
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.exif import Taken
from flowers_onnx.record import to_json
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.tables import SUFFIXES
from flowers_onnx.tables.journal import open_journal
from flowers_onnx.tables.reading import read_results

TABLE = "project.dataset.results"
URI = f"bigquery://{TABLE}"
NEW = ("known", "prediction_set", "taken_at", "latitude", "longitude")
NOTHING_OF_IT = {"known": None, "prediction_set": [], **Taken()._asdict()}


def row(number: int, **more: Any) -> Row:
    """A row of this version; every third is an error."""
    candidate = Candidate("rosa «silvestre»", 60, 0.1 + 0.2)
    good = Prediction(
        (candidate,), None, None, "ab" * 32, 3, 4, "m/1", known=True, prediction_set=(candidate,)
    )
    failure = Failure("corrupt", "zero\n«bytes»", None, None, "m/1")
    item = Item(f"gs://b/{number}.jpg", "1", 7)
    made = make_row(
        item,
        good if number % 3 else failure,
        "run",
        "2026-11-23T12:00:00.120Z",
        Taken("2024-05-17T14:03:22+02:00", 41.40338888888889, -1e-12),
    )
    return {**made, **more}


def old(*numbers: int) -> list[Row]:
    return [older.older(row(number)) for number in numbers]


def extended(rows: list[Row]) -> list[Row]:
    """Old rows in a new result."""
    return [{**each, **NOTHING_OF_IT} for each in rows]


def output(place: str | Path, journal: str | Path) -> Output:
    return Output(result_sink(place), str(journal), by_version=True, retry_errors=False)


def add(made: Output, number: int) -> None:
    assert made.claim(Item(f"gs://b/{number}.jpg", "1"))
    made.add(row(number))


def test_the_command_goes_on_with_results_of_1_0(flowers: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    noise_pictures(photos, 2, seed=7)
    assert flowers("batch", photos, "--out", "made.jsonl").returncode == 1
    lines = (tmp_path / "made.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [older.older(json.loads(line)) for line in lines]
    paths = [tmp_path / f"old{suffix}" for suffix in SUFFIXES]
    for path in paths:
        older.write(path, rows)
    before = paths[0].read_bytes()
    done = flowers("batch", photos, "--out", paths[0].name)
    assert (done.returncode, done.stderr[:14]) == (0, b"flowers: nothi"), done.stderr
    assert paths[0].read_bytes() == before
    shutil.copy(photos / "00.png", photos / "new.png")
    for path in paths:
        done = flowers("batch", photos, "--out", path.name)
        assert done.returncode == 0, done.stderr
        assert b"done before: 3" in done.stderr
        found = list(result_sink(path).existing())
        assert [*found[:3]] == extended(rows)
        assert [found[3]["schema"], len(found)] == ["1.1", 4]
    assert flowers("report", *(path.name for path in paths), "--out", "r.html").returncode == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_1_0_gets_the_columns(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"old{suffix}", old(1, 2, 3)
    older.write(path, rows)
    assert list(result_sink(path).existing()) == rows
    for number in (4, 5):  # into an old one, and into one that was extended
        with output(path, tmp_path / "j") as made:
            assert not made.claim(Item("gs://b/3.jpg", "1"))
            add(made, number)
            made.publish()
    assert list(result_sink(path).existing()) == [*extended(rows), row(4), row(5)]
    assert [result.ok for result in read_results([str(path)])] == [True, True, False, True, True]


def test_a_database_is_extended_in_place(tmp_path: Path) -> None:
    """Nobody who refers to its rows notices anything."""
    path = tmp_path / "old.sqlite"
    older.write(path, old(1, 2))
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE VIEW mine AS SELECT path FROM results; CREATE TABLE changes (what TEXT);"
            "CREATE TRIGGER a AFTER DELETE ON results BEGIN INSERT INTO changes VALUES('d'); END;"
            "CREATE TRIGGER b AFTER UPDATE ON results BEGIN INSERT INTO changes VALUES('u'); END;"
        )
    inode = path.stat().st_ino
    with output(path, tmp_path / "j") as made:
        add(made, 4)
        made.publish()
    assert path.stat().st_ino == inode
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1001,)
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (3,)
        assert connection.execute("SELECT * FROM changes").fetchall() == []
        found = connection.execute("SELECT rowid, schema, known, prediction_set FROM results")
        rows = found.fetchall()
    assert rows[:2] == [(1, "1.0", None, "[]"), (2, "1.0", None, "[]")]
    assert rows[2][:3] == (3, "1.1", 1)
    connection.close()


def test_a_kill_while_a_database_is_extended_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    older.write(path, old(1))
    before = path.read_bytes()

    def rows() -> Iterator[Row]:
        yield from old(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_sink(path).publish(rows())
    assert path.read_bytes() == before
    assert list(result_sink(path).existing()) == old(1)


def test_lines_of_both_versions_in_one_file(flowers: Run, tmp_path: Path) -> None:
    """As `cat` makes it; of batches, and of what classify writes."""
    (tmp_path / "both.jsonl").write_text(older.json_lines([*old(1, 3), row(2), *old(4), row(5)]))
    (tmp_path / "classified.jsonl").write_text(
        older.json_lines(
            [older.older(row(1), older.RECORD), {k: row(2)[k] for k in ("known", *older.RECORD)}]
        )
    )
    assert [getattr(r, "known", "") for r in read_results([str(tmp_path / "both.jsonl")])] == [
        None, "", True, None, True,
    ]  # fmt: skip
    done = flowers("report", "both.jsonl", "classified.jsonl", "--out", "r.html")
    assert done.returncode == 0, done.stderr
    with output(tmp_path / "both.jsonl", tmp_path / "j") as made:
        add(made, 7)
        made.publish()
    found = list(result_sink(tmp_path / "both.jsonl").existing())
    assert [each["schema"] for each in found] == ["1.0", "1.0", "1.1", "1.0", "1.1", "1.1"]


def test_a_csv_of_classify_1_0_is_reported(tmp_path: Path) -> None:
    older.write(tmp_path / "c.csv", [older.older(row(n), older.RECORD) for n in (1, 3)])
    assert [result.ok for result in read_results([str(tmp_path / "c.csv")])] == [True, False]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_newer_version_is_refused_with_the_remedy(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new{suffix}"
    older.write(path, old(1))
    content = path.read_bytes().replace(b"1.0", b"1.2")
    path.write_bytes(content.replace(b"1.2.", b"1.0."))
    if suffix == ".sqlite":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 1002")
        connection.close()
    with pytest.raises(
        UsageError, match=r"its schema is 1\.2, this program's 1\.1: use the flowers"
    ):
        list(result_sink(path).existing())


def test_a_journal_of_1_0_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(older.journal(old(1, 2)))
    before = path.read_bytes()
    with output(tmp_path / "r.jsonl", path) as made:
        assert made.unfinished == 2
        assert not made.claim(Item("gs://b/1.jpg", "1"))
    assert path.read_bytes() == before  # as 1.0 can go on with it, too
    with output(tmp_path / "r.jsonl", path) as made:
        add(made, 4)
    assert path.read_bytes().startswith(b'{"journal": 1, "schema": "1.1"}\n{"schema": "1.0"')
    with output(tmp_path / "r.jsonl", path) as made:
        made.publish()
    assert list(result_sink(tmp_path / "r.jsonl").existing()) == [*extended(old(1, 2)), row(4)]
    assert not path.exists()


def test_a_journal_of_1_0_that_was_complete(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(older.journal(old(1, 2), complete=True))
    with output(tmp_path / "r.parquet", tmp_path / "j"):
        pass
    assert list(result_sink(tmp_path / "r.parquet").existing()) == extended(old(1, 2))


def test_a_journal_of_1_0_in_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = MemoryStore()
    monkeypatch.setattr("flowers_onnx.tables.journal.store_for", lambda _uri: store)
    store.objects[f"gs://b/j/part-{1:020}.jsonl"] = older.journal(old(1))
    with output(tmp_path / "r.csv", "gs://b/j") as made:
        add(made, 4)
    assert [data[:31] for data in store.objects.values()] == [
        b'{"journal": 1, "schema": "1.0"}',
        b'{"journal": 1, "schema": "1.1"}',
    ]
    with output(tmp_path / "r.csv", "gs://b/j") as made:
        made.publish()
    assert list(result_sink(tmp_path / "r.csv").existing()) == [*extended(old(1)), row(4)]
    assert not store.objects


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(older.journal(old(1)).replace(b"1.0", b"1.2"))
    with pytest.raises(UsageError, match=r"schema 1\.2, .* finish that run with the program that"):
        output(tmp_path / "r.csv", path)
    with pytest.raises(UsageError, match=r"journal of schema 1\.2"):
        open_journal(str(path), "1.0")


def columns(bigquery: BigQueryFake) -> list[str]:
    return [each["name"] for each in bigquery.tables[TABLE].resource["schema"]["fields"]]


def test_a_table_of_1_0_gets_the_columns(bigquery: BigQueryFake, tmp_path: Path) -> None:
    older.fill(bigquery, TABLE, old(1, 3))
    with output(URI, tmp_path / "j") as made:
        assert not made.claim(Item("gs://b/1.jpg", "1"))
        made.publish()
    assert columns(bigquery) == list(old(1)[0])  # only who writes changes it
    with output(URI, tmp_path / "j") as made:
        add(made, 4)
        made.publish()
    assert columns(bigquery) == [*old(1)[0], *NEW]
    assert [each.get("known") for each in bigquery.rows(TABLE)] == [None, None, True]
    samples = list(result_sink(URI).sample())
    assert samples[:2] == extended(old(1, 3))
    assert samples[2] == row(4)
    assert sum(request.startswith("PATCH") for request in bigquery.requests) == 1


def test_two_runs_extend_a_table_at_the_same_time(bigquery: BigQueryFake, tmp_path: Path) -> None:
    older.fill(bigquery, TABLE, old(1))
    table = bigquery.tables[TABLE].resource

    def change(request: str) -> None:
        if request.startswith("PATCH") and table["etag"] == "first":
            table["etag"] = "second"  # by somebody with a column of his own
            own = {"name": "mine", "type": "STRING", "mode": "NULLABLE"}
            table["schema"] = {"fields": [*table["schema"]["fields"], own]}

    bigquery.before = change
    with output(URI, tmp_path / "j") as made:
        add(made, 4)
        made.publish()
    assert columns(bigquery) == [*old(1)[0], "mine", *NEW]
    assert len(bigquery.rows(TABLE)) == 2


def test_who_may_not_change_a_table_is_told_the_remedy(
    bigquery: BigQueryFake, tmp_path: Path
) -> None:
    older.fill(bigquery, TABLE, old(1))
    bigquery.fail("403", "PATCH")
    with pytest.raises(OutputError, match=r"earlier version.* Denied.*roles/bigquery\.dataEditor"):
        result_sink(URI).publish([row(4)])
    assert bigquery.rows(TABLE) == [older.typed(each) for each in old(1)]
    result_sink(URI).publish([row(4)])


def test_what_1_0_was_about_to_load_is_loaded_once(bigquery: BigQueryFake, tmp_path: Path) -> None:
    """The job of the killed run is found by its id, which is made from its rows as 1.0 has them."""
    older.fill(bigquery, TABLE, old(1))
    rows = [older.typed(each) for each in old(2, 3)]
    identity = "project:dataset.results 2025-11-24 16:00:00.123000+00:00\n"
    lines = "".join(to_json(each) + "\n" for each in rows)
    digest = hashlib.sha256((identity + lines).encode()).hexdigest()
    for _ in range(2):  # the second time as if 1.0 had done it
        (tmp_path / "j").write_bytes(older.journal(old(2, 3), complete=True))
        with output(URI, tmp_path / "j"):
            pass
    assert list(bigquery.jobs) == [f"flowers-{digest}-0"]
    assert bigquery.jobs[f"flowers-{digest}-0"].data.decode() == lines
    assert len(bigquery.rows(TABLE)) == 3
