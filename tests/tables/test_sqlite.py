"""A database that others use too: what is theirs stays, and who uses it is waited for."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, Row, make_row, needs, posix, result_sink, wait_until

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.reading import read_results

THEIRS = """
CREATE TABLE reviews(uri TEXT PRIMARY KEY, verdict TEXT);
INSERT INTO reviews VALUES ('gs://b/0.jpg', 'right'), ('other', NULL);
CREATE VIEW doubtful AS SELECT source_uri, confidence FROM results WHERE confidence < 0.5;
CREATE UNIQUE INDEX once ON results(source_uri);
CREATE TABLE seen(uri TEXT);
CREATE TRIGGER noted AFTER INSERT ON results BEGIN INSERT INTO seen VALUES (new.source_uri); END;
"""


def row(number: int, **changes: Any) -> Row:
    result = Prediction((Candidate("rose", 60, 0.3),), None, None, "ab" * 32, 3, 4, "flowers/1.0")
    item = Item(f"gs://b/{number}.jpg", str(number), 1234)
    return make_row(item, result, "run", "2026-11-23T12:00:00.120Z") | changes


def failed(number: int) -> Row:
    failure = Failure("read_error", "timed out", None, None, "flowers/1.0")
    return make_row(Item(f"gs://b/{number}.jpg"), failure, "run", "2026-11-23T12:00:01.000Z")


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def run_sql(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


def published(path: Path, rows: list[Row]) -> list[Row]:
    sink = result_sink(path)
    sink.publish(rows)
    return [dict(found) for found in sink.existing()]


def test_what_is_not_ours_survives(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    published(path, [row(0), failed(1), row(2)])
    run_sql(path, THEIRS)
    theirs = query(path, "SELECT name, sql FROM sqlite_master WHERE sql NOTNULL ORDER BY name")
    rows = [row(0), row(2), row(1), row(3)]
    assert published(path, rows) == rows
    assert query(path, "SELECT * FROM reviews ORDER BY uri") == [
        ("gs://b/0.jpg", "right"),
        ("other", None),
    ]
    assert len(query(path, "SELECT * FROM doubtful")) == 4
    found = query(path, "SELECT name, sql FROM sqlite_master WHERE sql NOTNULL ORDER BY name")
    assert found == theirs
    # Rows that were there and stay weren't touched.
    assert query(path, "SELECT uri FROM seen") == [("gs://b/1.jpg",), ("gs://b/3.jpg",)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert os.listdir(tmp_path) == ["results.sqlite"]


def test_to_publish_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """As after a kill between the publication and the end of the journal."""
    path = tmp_path / "results.sqlite"
    sink = result_sink(path)
    sink.publish([row(0), failed(1)])
    run_sql(path, THEIRS)
    sink.publish(sink.existing())
    assert [dict(found) for found in sink.existing()] == [row(0), failed(1)]
    assert not query(path, "SELECT * FROM seen")


def test_what_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    published(path, [row(0)])
    run_sql(
        path,
        "CREATE TRIGGER mine BEFORE INSERT ON results BEGIN SELECT RAISE(ABORT, 'not today'); END",
    )
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"can't write to .*: not today$"):
        published(path, [row(1)])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["results.sqlite"]


@posix
def test_a_kill_amid_a_change_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    rows = [row(number) for number in range(300)]
    published(path, rows)
    killed = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 1')\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute(\"UPDATE results SET label = 'torn', path = hex(zeroblob(500))\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{path}-journal").stat().st_size
    assert len({found.path for found in read_results([str(path)])}) == 300
    assert published(path, [*rows, row(300)]) == [*rows, row(300)]


@pytest.mark.parametrize("left_open", [False, True])
def test_a_database_in_wal_mode_is_read_and_continued(tmp_path: Path, left_open: bool) -> None:
    path = tmp_path / "results.sqlite"
    published(path, [row(0)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE theirs AS SELECT 1 AS one")
        other.commit()
        if not left_open:
            other.close()
        for number in range(1, 4):
            rows = [row(each) for each in range(number + 1)]
            assert len(list(read_results([str(path)]))) == number
            assert published(path, rows) == rows
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "SELECT one FROM theirs") == [(1,)]
    assert os.listdir(tmp_path) == ["results.sqlite"]


@needs("unshare")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root")
def test_a_database_in_wal_mode_is_read_from_a_medium_for_reading(tmp_path: Path) -> None:
    place = tmp_path / "medium"
    place.mkdir()
    path = place / "results.sqlite"
    published(path, [row(0)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        # What is in no file but the log, as after a kill.
        other.execute("INSERT INTO results SELECT * FROM results")
        other.execute("UPDATE results SET source_uri = 'gs://b/1.jpg', path = 'b' WHERE rowid = 2")
        other.commit()
        copies = tmp_path / "copies"
        shutil.copytree(place, copies)
    shutil.rmtree(place)
    copies.rename(place)
    (place / "results.sqlite-shm").unlink()
    read = (
        "import sys\nfrom flowers_onnx.tables.reading import read_results\n"
        "print(*sorted(found.path for found in read_results(sys.argv[1:])))"
    )
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    command: list[str | Path] = [
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        place,
        sys.executable,
        "-c",
        read,
        path,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip("no mounts here")
    assert (done.stdout, done.stderr) == ("gs://b/0.jpg gs://b/1.jpg\n", "")


def test_who_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    published(path, [row(0)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs AS SELECT 1 AS one")
        done = threading.Event()
        asked = threading.Event()

        def rows() -> Any:
            asked.set()
            yield from (row(0), row(1))

        def publish() -> None:
            result_sink(path).publish(rows())
            done.set()

        thread = threading.Thread(target=publish)
        thread.start()
        assert not asked.wait(0.1)
        assert not done.is_set()
        other.execute("COMMIT")
        wait_until(done.is_set)
        thread.join()
    assert query(path, "SELECT one FROM theirs") == [(1,)]
    assert query(path, "SELECT count(*) FROM results") == [(2,)]


def test_who_writes_for_ever_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowers_onnx.tables.sqlite._PATIENCE", 0)
    path = tmp_path / "results.sqlite"
    published(path, [row(0)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutputError, match=r"can't read .*: another program is writing to it"):
            published(path, [row(1)])
        with pytest.raises(UsageError, match="another program is writing to it"):
            list(read_results([str(path)]))


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_is_left_of_another_database_is_refused(tmp_path: Path, suffix: str) -> None:
    """SQLite would take it for a part of the new one."""
    left = tmp_path / f"results.sqlite{suffix}"
    left.write_bytes(b"x")
    with pytest.raises(UsageError, match="left of a database that is gone: remove it"):
        published(tmp_path / "results.sqlite", [row(0)])
    assert os.listdir(tmp_path) == [left.name]
