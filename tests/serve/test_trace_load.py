"""``flowers trace load``: rows of a trace come into tables and files, each of them once."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.bigquery import BigQueryFake
from fakes.faults import Faults, unreliable
from fakes.gcs import fake_gcs
from fakes.s3 import fake_s3
from fakes.server import Fake
from serve.traces import DAY, TABLE, URI, as_loaded, put, row, rows_of
from support import FLOWERS, PATIENCE, ROOT, Run, blocks, job, posix

from flowers_onnx import storage
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.record import to_json
from flowers_onnx.serve.trace.load import Clock, run
from flowers_onnx.serve.trace.objects import object_name
from flowers_onnx.serve.trace.options import LoadOptions
from flowers_onnx.serve.trace.row import REQUESTS
from flowers_onnx.tables import SUFFIXES, sink_for

PAGE = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "a trace %20"


class Time:
    """A clock that stands still but for waits; ``at`` is called with the number of each."""

    def __init__(self, at: Callable[[int], object] = lambda _number: None) -> None:
        self.now, self.waits, self.at = 1795608000.0, 0, at

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits += 1
        self.at(self.waits)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def load(
    trace: Path | str, to: Path | str, clock: Time | None = None, *, follow: bool = False
) -> int:
    return run(LoadOptions(str(trace), str(to), follow), (clock or Time()).clock)


def rows_in(place: Path | str) -> list[Any]:
    return list(sink_for(str(place), REQUESTS).existing())


def ids(rows: Any) -> list[str]:
    return sorted(each["request_id"] for each in rows)


def test_the_command_loads_each_row_once(flowers: Run, bigquery: BigQueryFake, trace: Path) -> None:
    rows = rows_of(20)
    put(trace, rows[:8], 0)
    put(trace, rows[8:15], 1)
    put(trace, rows[15:], 0, "two-B.3_", "2026-11-26")
    done = flowers("trace", "load", trace, "--to", URI)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"flowers: {URI}: load 0, 20 rows of 3 objects\n"
    assert bigquery.rows(TABLE) == as_loaded(rows)
    made = bigquery.tables[TABLE].resource
    assert made["timePartitioning"] == {"type": "DAY", "field": "time"}
    assert made["clustering"] == {"fields": ["label"]}
    done = flowers("trace", "load", trace, "--to", URI)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(bigquery.jobs) == 1


#: When the command is killed: at which of the requests that it sends, before or after it is done.
KILLS = [
    pytest.param("after", "POST .*/tables", 1, id="table made"),
    pytest.param("before", "GET .*/jobs/", 1, id="manifest made"),
    pytest.param("after", "PUT /upload", 1, id="job sent"),
    pytest.param("after", "GET .*/jobs/", 1, id="job done"),
]


@posix
@pytest.mark.parametrize(("moment", "request_", "times"), KILLS)
def test_killed_with_9(
    moment: str, request_: str, times: int, bigquery: BigQueryFake, trace: Path
) -> None:
    bigquery.job_polls = 1
    put(trace, rows_of(5), 0)
    seen = []

    def kill(request: str) -> None:
        if re.match(request_, request):
            seen.append(request)
            if len(seen) == times:
                process.kill()
                process.wait()

    setattr(bigquery, moment, kill)
    command: list[str | Path] = [FLOWERS, "trace", "load", trace, "--to", URI]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    setattr(bigquery, moment, lambda _request: None)
    bigquery.job_polls = 0
    put(trace, rows_of(5, 5), 1)
    load(trace, URI)
    assert sorted(map(to_json, bigquery.rows(TABLE))) == sorted(
        map(to_json, as_loaded(rows_of(10)))
    )


def test_three_commands_at_once(bigquery: BigQueryFake, trace: Path) -> None:
    bigquery.job_polls = 3
    bigquery.seconds_to_appear = 0.2
    for number in range(30):
        put(trace, rows_of(4, 4 * number), number)
    command: list[str | Path] = [FLOWERS, "trace", "load", trace, "--to", URI]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    assert bigquery.rows(TABLE) == as_loaded(rows_of(120))
    assert len(bigquery.jobs) == 1


def test_half_an_hour_of_two_instances_on_a_bad_network(
    monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    real = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: real(min(seconds, 0.01)))
    monkeypatch.setattr("os.fsync", lambda _file: None)
    with BigQueryFake(rate=0.05, job_polls=1) as bigquery:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.url)

        def serve(wait: int) -> None:
            for instance in ("one", "two"):
                put(trace, [row(wait, request_id=f"{instance}-{wait}")], wait, instance)
            if wait == 30:
                raise SystemExit

        serve(0)
        with pytest.raises(SystemExit):
            load(trace, URI, Time(serve), follow=True)
        load(trace, URI)
        written = [f"{instance}-{wait}" for instance in ("one", "two") for wait in range(31)]
        assert ids(bigquery.rows(TABLE)) == sorted(written)
        assert len(bigquery.jobs) <= 32


def test_a_table_that_is_made_anew_is_filled_anew(bigquery: BigQueryFake, trace: Path) -> None:
    put(trace, rows_of(3), 0)
    load(trace, URI)
    del bigquery.tables[TABLE]
    load(trace, URI)
    assert bigquery.rows(TABLE) == as_loaded(rows_of(3))


def test_a_table_that_is_made_anew_during_a_load(bigquery: BigQueryFake, trace: Path) -> None:
    put(trace, rows_of(3), 0)

    def drop(request: str) -> None:
        if "/jobs/" in request:
            bigquery.before = lambda _request: None
            del bigquery.tables[TABLE]

    bigquery.before = drop
    with pytest.raises(OutputError, match="was made anew during a load; load again"):
        load(trace, URI)
    load(trace, URI)
    assert bigquery.rows(TABLE) == as_loaded(rows_of(3))


def test_tables_of_one_trace_don_t_mind_each_other(bigquery: BigQueryFake, trace: Path) -> None:
    put(trace, rows_of(3), 0)
    for name in ("one", "two"):
        load(trace, f"bigquery://project.dataset.{name}")
        assert bigquery.rows(f"project.dataset.{name}") == as_loaded(rows_of(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_gets_what_it_hasn_t(suffix: str, trace: Path, tmp_path: Path) -> None:
    out = tmp_path / f"requests{suffix}"
    put(trace, rows_of(8), 0)
    assert load(trace, out) == 0
    assert rows_in(out) == rows_of(8)
    before = out.stat()
    assert load(trace, out) == 0
    assert out.stat() == before
    put(trace, [row(8), row(8, part=1), row(9)], 1)
    put(trace, [row(3)], 2)  # a row that is there
    assert load(trace, out) == 0
    assert rows_in(out) == [*rows_of(9), row(8, part=1), row(9)]


def test_a_file_of_something_else_stays(trace: Path, tmp_path: Path) -> None:
    put(trace, rows_of(1), 0)
    out = tmp_path / "out.csv"
    out.write_text("mine\n")
    with pytest.raises(UsageError, match="it won't be overwritten"):
        load(trace, out)
    assert out.read_text() == "mine\n"


@pytest.mark.parametrize("server", [fake_gcs, fake_s3])
def test_from_bucket_to_bucket(
    server: Callable[[], contextlib.AbstractContextManager[Fake]],
    bigquery: BigQueryFake,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """On a network that fails; what is loaded already is skipped in the listing."""
    monkeypatch.setattr("flowers_onnx.serve.trace.objects._PAGE", 3)
    storage._store.cache_clear()
    faults = Faults(rate=0.1, kinds=("unavailable", "refused", "cut"), seed=1)
    with server() as real, unreliable(real, faults) as bucket:
        for name, value in bucket.env.items():
            monkeypatch.setenv(name, value)
        real.create("kept")
        trace, out = bucket.uri("kept", "a trace %20"), bucket.uri("kept", "out/requests.parquet")

        def serve(first: int) -> None:
            for number in range(first, first + 10):
                name = object_name("a trace %20", DAY, "one", number)
                real.put("kept", name, (to_json(row(number)) + "\n").encode())

        for first in (0, 10):
            serve(first)
            for place in (URI, out):
                assert load(trace, place, Time()) == 0
        assert bigquery.rows(TABLE) == as_loaded(rows_of(20))
        assert rows_in(out) == rows_of(20)
        assert faults.injected
    storage._store.cache_clear()


def test_an_empty_trace(flowers: Run, bigquery: BigQueryFake, trace: Path, tmp_path: Path) -> None:
    trace.mkdir()
    assert load(trace, URI) == 0
    assert bigquery.rows(TABLE) == []
    assert not bigquery.jobs
    assert not list(trace.iterdir())
    done = flowers("trace", "load", trace, "--to", "requests.csv")
    assert (done.returncode, done.stdout) == (0, b"")
    assert rows_in(tmp_path / "requests.csv") == []


BROKEN = {
    b"{": "no JSON",
    b"\xff": "no JSON",
    b'"\\ud800"': "no JSON",
    b"[" * 100_000: "no JSON",
    b"[1]": "row is no object",
    b'{"schema": "1.0"}': "no request_id",
}


def test_lines_that_can_t_be_understood(
    bigquery: BigQueryFake, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: list[dict[str, Any]] = [
        {"size": 10**30},
        {"total_ms": float("inf")},
        {"time": "today"},
        {"schema": None},
    ]
    bad = [*BROKEN, *(json.dumps({**row(1), **each}).encode() for each in changed)]
    bad.append(json.dumps({**row(1), "client_request_id": "\ud800"}).encode())
    good = [to_json(each).encode() for each in rows_of(2)]
    place = object_name(str(trace), DAY, "one", 0)
    put(trace, [], 1)
    Path(place).write_bytes(b"\n".join([good[0], *bad, b"", good[1]]))
    (trace / f"dt={DAY}" / "notes.txt").write_text("mine")
    (trace / f"dt={DAY}" / ".one-0000000002.jsonl.abc.tmp").write_text("being written")
    for to in (URI, tmp_path / "out.jsonl"):
        assert load(trace, to) == 1
        said = capsys.readouterr().err
        assert said.count("left out: ") == 10 + 2
        assert "left out: 11 lines in all" in said
        assert "notes.txt has no name of a trace" in said
        assert ".tmp" not in said
        for number, why in enumerate(BROKEN.values(), 2):
            assert f"flowers: left out: {place}, line {number}: {why}" in said
    assert bigquery.rows(TABLE) == as_loaded(rows_of(2))
    assert rows_in(tmp_path / "out.jsonl") == rows_of(2)


def test_an_object_that_is_gone_when_its_turn_comes(
    bigquery: BigQueryFake, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(trace, rows_of(2), 0)
    put(trace, rows_of(2, 2), 1)

    def forget(request: str) -> None:
        if "/jobs/" in request:
            Path(object_name(str(trace), DAY, "one", 0)).unlink(missing_ok=True)

    bigquery.before = forget
    assert load(trace, URI) == 0
    assert "load 0, 2 rows of 2 objects, 1 of them gone" in capsys.readouterr().err
    assert bigquery.rows(TABLE) == as_loaded(rows_of(2, 2))


@posix
@pytest.mark.parametrize(
    ("sent", "code", "last"),
    [(signal.SIGTERM, 0, "goes on with what comes"), (signal.SIGINT, 130, "interrupted")],
)
def test_follow_until_a_signal(
    sent: signal.Signals, code: int, last: str, bigquery: BigQueryFake, trace: Path
) -> None:
    put(trace, rows_of(3), 0)
    command: list[str | Path] = [FLOWERS, "trace", "load", trace, "--to", URI, "--follow"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    said = [process.stderr.readline(), process.stderr.readline()]
    assert "goes on with what comes" in said[1]
    process.send_signal(sent)
    said.append(process.communicate(timeout=PATIENCE)[1])
    assert process.returncode == code
    assert last in "".join(said)
    assert "Traceback" not in "".join(said)
    assert bigquery.rows(TABLE) == as_loaded(rows_of(3))


@posix
@pytest.mark.parametrize("place", [URI, "requests.sqlite"])
def test_follow_takes_what_comes(
    place: str, bigquery: BigQueryFake, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def serve(wait: int) -> None:
        put(trace, rows_of(2, 2 * wait), wait)
        if wait == 3:
            signal.raise_signal(signal.SIGTERM)

    put(trace, rows_of(2), 0)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        load(trace, place, Time(serve), follow=True)
    assert end.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before
    found: list[Any] = bigquery.rows(TABLE) if place == URI else rows_in(place)
    assert ids(found) == ids(rows_of(6))


def test_follow_outlives_what_passes(
    bigquery: BigQueryFake, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve(wait: int) -> None:
        put(trace, rows_of(1, wait), wait)
        if wait == 1:
            bigquery.fail("403", "GET .*/tables/", 2)
        if wait == 5:
            raise SystemExit

    put(trace, rows_of(1), 0)
    with pytest.raises(SystemExit):
        load(trace, URI, Time(serve), follow=True)
    said = capsys.readouterr().err
    assert [f"tries again in {pause} s" in said for pause in (5, 10, 20)] == [True, True, False]
    assert ids(bigquery.rows(TABLE)) == ids(rows_of(5))


def test_follow_tells_at_once_what_never_worked(bigquery: BigQueryFake, trace: Path) -> None:
    trace.mkdir()
    bigquery.fail("403", "GET .*/tables/")
    with pytest.raises(OutputError, match="Access Denied"):
        load(trace, URI, follow=True)
    with pytest.raises(UsageError, match="no dataset"):
        load(trace, "bigquery://project.other.requests", follow=True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "say flowers trace load, forget or export"),
        (["lode"], "say flowers trace load, forget or export"),
        (["load", "--to", "x.csv"], "trace load needs one TRACE"),
        (["load", "a", "b", "--to", "x.csv"], "trace load needs one TRACE"),
        (["load", "a"], "trace load needs --to"),
        (["load", "a", "--to", "x.csv", "--dry_run"], "--dry_run is not for trace load"),
        (["forget", "--trace", "t"], "trace forget needs an ID"),
        (["forget", "id"], "trace forget needs --trace"),
        (["forget", "id", "--trace", "t", "--follow"], "--follow is not for trace forget"),
        (["export", "a", "--out", "x"], "trace export needs KEEP and TRACE"),
        (["export", "a", "b"], "trace export needs --out"),
        (["export", "a", "b", "--out", "x", "--to", "y"], "--to is not for trace export"),
    ],
)
def test_wrong_usage(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        job("trace", *words)


def test_places_that_make_no_sense(flowers: Run) -> None:
    for words in (["trace", "--to", "x.txt"], ["ftp://trace", "--to", "x.csv"]):
        done = flowers("trace", "load", *words)
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1


def test_a_place_without_rows_is_told(flowers: Run, tmp_path: Path) -> None:
    done = flowers("trace", "load", "trcae", "--to", "x.csv")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"there is no folder trcae" in done.stderr
    done = flowers("trace", "load", tmp_path, "--to", "x.csv")
    assert done.returncode == 0  # as before the first request
    assert b"has no rows" in done.stderr
    put(tmp_path, rows_of(1), 0)
    assert b"has no rows" not in flowers("trace", "load", tmp_path, "--to", "x.csv").stderr


def test_every_column_is_documented() -> None:
    table = re.findall(r"^\| the .* \|$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == {each.name for each in REQUESTS.fields}


def test_the_questions_of_the_page_have_answers(trace: Path, tmp_path: Path) -> None:
    put(trace, rows_of(9), 0)
    load(trace, tmp_path / "requests.sqlite")
    database = sqlite3.connect(tmp_path / "requests.sqlite")
    refused, unsure = re.findall(r"SELECT [^;]*;", blocks(PAGE, "sql")[1])
    assert database.execute(refused).fetchall() == [(None, 415, "not_an_image", 2)]
    assert len(database.execute(unsure).fetchall()) == 7
    database.close()


def test_it_starts_without_what_classifies(tmp_path: Path) -> None:
    program = (
        "import sys; from flowers_onnx.cli.main import main;"
        "assert main(['trace', 'load', '.', '--to', 'x.jsonl']) == 0; print(*sys.modules)"
    )
    command: list[str | Path] = [FLOWERS.with_name("python"), "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, text=True)
    loaded = set(done.stdout.split())
    assert "flowers_onnx.serve.trace.load" in loaded
    assert not {"numpy", "PIL", "onnxruntime", "starlette", "google.cloud", "asyncio"} & loaded
