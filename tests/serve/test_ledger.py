"""The ledger: what was acknowledged is kept, once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.faults import Faults, unreliable
from fakes.server import Fake
from serve.recorder import photo_of, row_of
from support import PATIENCE, ROOT, posix

from flowers_onnx import storage
from flowers_onnx.errors import FlowersError, StorageError, UsageError
from flowers_onnx.serve.keep import Ledger, keeper, lines, place, watch
from flowers_onnx.serve.keep.ledgers import default_spool, open_ledger
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.trace.row import REQUESTS
from flowers_onnx.storage import http, store_for

RECORDER = Path(__file__).with_name("recorder.py")
pytestmark = posix


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store keeps the endpoint that it found in the environment."""
    monkeypatch.delenv("K_SERVICE", raising=False)
    monkeypatch.setattr(http, "RETRIES", http.RETRIES.new(backoff_factor=0.02, backoff_jitter=0.02))
    storage._store.cache_clear()
    yield
    storage._store.cache_clear()


@dataclass
class Bucket:
    """A bucket behind a proxy with faults, and what a test looks for in it."""

    fake: Fake
    faults: Faults
    env: dict[str, str]
    base: str

    @property
    def places(self) -> dict[str, Any]:
        return {"keep": f"{self.base}/keep", "trace": f"{self.base}/trace"}

    def down(self) -> None:
        self.faults.kinds, self.faults.rate = ("unavailable", "refused"), 1

    def up(self) -> None:
        self.faults.rate = 0

    def objects(self) -> list[str]:
        return [name for name in self._names("trace") if name.endswith(".jsonl")]

    def rows(self) -> list[dict[str, Any]]:
        store = store_for(self.base)
        lines = [(store.download(name) or b"").splitlines() for name in self.objects()]
        return [json.loads(line) for each in lines for line in each]

    def photos(self) -> set[str]:
        return {name.rpartition("/")[2] for name in self._names("keep")}

    def statuses(self) -> dict[str, int]:
        """By request; each has one row."""
        rows = self.rows()
        assert max(Counter(row["request_id"] for row in rows).values(), default=0) < 2
        return {row["request_id"]: row["status"] for row in rows}

    def _names(self, folder: str) -> list[str]:
        return list(store_for(self.base).names(f"{self.base}/{folder}/"))


@contextlib.contextmanager
def bucket_in(fake: Fake, faults: Faults, patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    name = f"bucket-{zlib.crc32(test.encode())}"
    fake.create(name)
    with unreliable(fake, faults) as proxied:
        for key, value in proxied.env.items():
            patch.setenv(key, value)
        yield Bucket(fake, faults, dict(proxied.env), fake.uri(name).rstrip("/"))


@pytest.fixture
def bucket(gcs: Fake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_in(gcs, Faults(), monkeypatch) as found:
        yield found


def run(
    work: Callable[[Ledger], Awaitable[None]], options: Options, instance: str = "test"
) -> dict[str, float]:
    """Do ``work`` with a ledger, and give the figures that it has when it is closed."""

    async def whole() -> dict[str, float]:
        ledger = open_ledger(options, instance)
        await ledger.start()
        try:
            await work(ledger)
        finally:
            await ledger.close()
        return ledger.gauges()

    return asyncio.run(whole(), debug=False)


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110  events of another thread, or of none
            await asyncio.sleep(0.01)


# A process that is killed.


class Recorder:
    """``recorder.py``, and what it has acknowledged."""

    def __init__(self, bucket: Bucket | None, **plan: Any) -> None:
        plan = {"workers": 8, "photo_bytes": 5000, "pause": 0, "backoff": 0.02, **plan}
        self.process = subprocess.Popen(
            [sys.executable, RECORDER, json.dumps(plan)],
            env={**os.environ, **(bucket.env if bucket else {}), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"started\n", self.process.communicate()

    def answers(self, count: int) -> list[list[str]]:
        """The next answers: what, request, photo, seconds."""
        assert self.process.stdout
        lines = [self.process.stdout.readline() for _ in range(count)]
        return [line.decode().split() for line in lines if line.endswith(b"\n")]

    def kill(self) -> list[list[str]]:
        """Without a warning; the answers that were still on their way to us."""
        return self._end(signal.SIGKILL)

    def stop(self) -> list[list[str]]:
        rest = self._end(signal.SIGTERM)
        assert self.process.returncode == 0
        return rest

    def _end(self, number: int) -> list[list[str]]:
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=PATIENCE)
        assert b"Traceback" not in error, error.decode()
        return [line.decode().split() for line in out.splitlines(keepends=True) if b"\n" in line]


@pytest.mark.parametrize("case", ["strict gcs 3", "spool gcs 3", "strict s3 1"])
def test_what_was_acknowledged_is_there_once_after_kills(
    case: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durability, name, kills = case.split()
    faults = Faults(0.1, ("unavailable", "too_many", "refused", "cut"))
    with bucket_in(request.getfixturevalue(name), faults, monkeypatch) as bucket:
        killed_and_checked(bucket, durability, int(kills), tmp_path)


def killed_and_checked(bucket: Bucket, durability: str, kills: int, tmp_path: Path) -> None:
    options = {"durability": durability, **bucket.places}
    if durability == "spool":
        options["spool"] = str(tmp_path / "spool.sqlite")
    answers = []
    for number in range(kills):
        recorder = Recorder(bucket, options=options, instance=f"kill{number}")
        answers += recorder.answers(30 + 37 * number)
        answers += recorder.kill()
    recorder = Recorder(bucket, options=options, instance="last", workers=2)
    answers += recorder.answers(5)
    answers += recorder.stop()
    if durability == "spool":  # it is shipped when the next one has nothing left to do

        async def nothing(ledger: Ledger) -> None:
            await until(lambda: not ledger.gauges()["spool_bytes"])

        run(nothing, Options(**options))
    assert {what for what, *_ in answers} == {"ok"}
    statuses, photos = bucket.statuses(), bucket.photos()
    for _, request, photo, _ in answers:
        assert statuses[request] == 200
        assert photo in photos
    # What was killed may have rows that nobody was told of: a few, those under way.
    assert len(answers) <= len(statuses) <= len(answers) + 8 * kills
    for row in bucket.rows():
        assert row["photo"].rpartition("/")[2] in photos
        assert REQUESTS.problem(row) is None
    assert bucket.faults.injected


# Groups and photos.


def test_rows_that_come_together_share_an_object(bucket: Bucket) -> None:
    async def work(ledger: Ledger) -> None:
        await asyncio.gather(*[ledger.record([row_of(str(n))], []) for n in range(100)])

    figures = run(work, Options(**bucket.places, durability="strict"))
    assert len(bucket.statuses()) == 100
    assert len(bucket.objects()) == figures["ledger_objects_written_total"] < 10
    for name in bucket.objects():
        folder, _, file = name.removeprefix(f"{bucket.base}/trace/").partition("/")
        assert folder.startswith("dt=2")
        assert file.startswith("test-")


def test_equal_photos_are_sent_once_at_a_time(bucket: Bucket) -> None:
    photos = [photo_of(b"one"), photo_of(b"two")]

    async def work(ledger: Ledger) -> None:
        await asyncio.gather(*[ledger.record([row_of(str(n))], photos) for n in range(50)])

    run(work, Options(**bucket.places, durability="strict"))
    assert bucket.photos() == {photo.name for photo in photos} | {place.MARKER}
    sent = [path for path in bucket.faults._asked.elements() if photos[0].name in path]
    assert len(sent) == 1


@pytest.mark.parametrize("durability", ["strict", "spool", "best-effort"])
@pytest.mark.parametrize("part", ["keep", "trace"])
def test_each_place_may_be_missing(
    durability: str, part: str, bucket: Bucket, tmp_path: Path
) -> None:
    options: dict[str, Any] = {part: bucket.places[part], "durability": durability}
    if durability == "spool":
        options["spool"] = str(tmp_path / "spool.sqlite")
    photo = photo_of(b"photo")

    async def work(ledger: Ledger) -> None:
        await ledger.record([row_of("a", photo)], [photo])
        ledger.note([row_of("b")])

    run(work, Options(**options))
    assert set(bucket.statuses()) == ({"a", "b"} if part == "trace" else set())
    assert (photo.name in bucket.photos()) == (part == "keep")


# Time-outs and outages.


def test_a_request_that_is_over_before_its_row_is_sent_says_503(bucket: Bucket) -> None:
    photo = photo_of(b"photo")

    async def work(ledger: Ledger) -> None:
        bucket.faults.kinds, bucket.faults.rate, bucket.faults.pause = ("slow",), 1, 1
        first = asyncio.create_task(ledger.record([row_of("first")], []))
        await until(lambda: bucket.faults.injected["slow"])
        second = asyncio.create_task(ledger.record([row_of("second")], []))
        third = asyncio.create_task(ledger.record([row_of("third")], []))
        await asyncio.sleep(0)
        second.cancel()
        bucket.faults.rate = 0
        await asyncio.gather(first, third)
        with pytest.raises(asyncio.CancelledError):
            await second
        bucket.faults.rate = 1
        fourth = asyncio.create_task(ledger.record([row_of("fourth", photo)], [photo]))
        await asyncio.sleep(0.05)
        fourth.cancel()
        bucket.faults.rate = 0
        with pytest.raises(asyncio.CancelledError):
            await fourth

    run(work, Options(**bucket.places, durability="strict"))
    assert bucket.statuses() == {"first": 200, "second": 503, "third": 200, "fourth": 503}
    row = next(row for row in bucket.rows() if row["request_id"] == "fourth")
    assert row["error"]["code"] == "unavailable"
    assert row["photo"] is row["kept_sha256"] is None


def test_a_failed_group_is_made_later_and_says_503(bucket: Bucket) -> None:
    async def work(ledger: Ledger) -> None:
        bucket.down()
        done = await asyncio.gather(
            *[ledger.record([row_of(str(n))], []) for n in range(20)], return_exceptions=True
        )
        assert all(isinstance(error, StorageError) for error in done)
        assert ledger.problem()
        ledger.note([row_of("note", None) | {"status": 429}])
        with pytest.raises(StorageError, match="trace"):
            await ledger.record([row_of("refused")], [])
        bucket.up()
        await until(lambda: not ledger.problem())
        await ledger.record([row_of("later")], [])

    run(work, Options(**bucket.places, durability="strict"))
    expected = {**{str(n): 503 for n in range(20)}, "note": 429, "refused": 503, "later": 200}
    assert bucket.statuses() == expected


def test_a_refusal_that_cannot_be_kept_in_time_stays_what_it_was(bucket: Bucket) -> None:
    """Its client has its answer all the same, and that is no 503."""
    refusal: Any = {**row_of("refused"), "status": 413}

    async def work(ledger: Ledger) -> None:
        bucket.down()
        with pytest.raises(StorageError):
            await ledger.record([refusal], [])
        bucket.up()
        await until(lambda: ledger.gauges()["ledger_rows_written_total"] == 1)

    run(work, Options(**bucket.places, durability="strict"))
    assert bucket.statuses() == {"refused": 413}


def test_the_answer_of_a_write_that_arrived_may_be_lost(bucket: Bucket) -> None:
    """The rows are there, then, and aren't written again."""

    async def work(ledger: Ledger) -> None:
        bucket.faults.kinds, bucket.faults.rate = ("cut",), 1
        with pytest.raises(StorageError):
            await ledger.record([row_of("a")], [])
        bucket.up()
        await until(lambda: not ledger.problem())
        await ledger.record([row_of("b")], [])

    run(work, Options(**bucket.places, durability="strict"))
    assert set(bucket.statuses()) == {"a", "b"}


@pytest.mark.parametrize("durability", ["strict", "spool"])
def test_rows_that_are_days_late_come_where_loaders_still_look(
    durability: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(
        trace=f"{bucket.base}/trace",
        durability=durability,
        spool=str(tmp_path / "spool") if durability == "spool" else None,
    )

    later = datetime.now(UTC).date() + timedelta(days=3)

    async def work(ledger: Ledger) -> None:
        bucket.down()
        with contextlib.suppress(StorageError):
            await ledger.record([row_of("0")], [])
        await until(lambda: ledger.gauges()["ledger_failures_total"])
        monkeypatch.setattr(lines, "_today", lambda: later)
        bucket.up()
        await until(lambda: ledger.gauges()["ledger_objects_written_total"])

    run(work, options)
    (name,) = bucket.objects()
    assert f"/dt={later}/" in name
    assert len(bucket.rows()) == 1


def rss(process: subprocess.Popen[bytes]) -> int:
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_an_outage_costs_little_memory_then_503_at_once_then_all_is_well(bucket: Bucket) -> None:
    options = {"durability": "strict", **bucket.places}
    plan = {"photo_bytes": 200_000, "pause": 0.025, "backoff": 0.1, "every": True}
    recorder = Recorder(bucket, options=options, instance="outage", workers=1, **plan)
    answers = recorder.answers(100)
    before = rss(recorder.process)
    bucket.down()
    peak, quick = before, 0
    while quick < 300:
        answers += (new := recorder.answers(50))
        quick += sum(what == "no" and float(seconds) < 0.1 for what, *_, seconds in new)
        peak = max(peak, rss(recorder.process))
    bucket.up()
    good = 0
    while good < 200:
        answers += (new := recorder.answers(50))
        good += sum(what == "ok" for what, *_ in new)
    answers += recorder.stop()
    assert peak - before < 20e6
    statuses, photos = bucket.statuses(), bucket.photos()
    for what, request, photo, _ in answers:
        if what == "ok":
            assert statuses[request] == 200
            assert photo in photos
        elif what == "no" and request in statuses:
            assert statuses[request] == 503


def test_a_place_that_says_nothing_is_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STALL_SECONDS", 0.2)

    async def work(ledger: Ledger) -> None:
        bucket.faults.kinds, bucket.faults.rate, bucket.faults.pause = ("slow",), 1, 1
        waiting = asyncio.create_task(ledger.record([row_of("a")], []))
        await until(ledger.problem)
        assert "has not answered for" in (ledger.problem() or "")
        with pytest.raises(StorageError):
            await ledger.record([row_of("b")], [])
        bucket.up()
        await waiting
        assert ledger.problem() is None

    run(work, Options(**bucket.places, durability="strict"))
    assert bucket.statuses() == {"a": 200, "b": 503}


@pytest.mark.parametrize("durability", ["strict", "spool"])
def test_notes_that_are_too_many_are_dropped_and_counted(
    durability: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(ledger: Ledger) -> None:
        for number in range(keeper.MAX_NOTES + 100):
            ledger.note([row_of(str(number))])
        assert ledger.gauges()["ledger_rows_dropped_total"] == 100
        assert ledger.problem() is None
        await ledger.record([row_of("kept")], [])

    spool = str(tmp_path / "spool.sqlite") if durability == "spool" else None
    run(work, Options(**bucket.places, durability=durability, spool=spool))
    assert len(bucket.statuses()) == keeper.MAX_NOTES + 1


def test_too_much_at_a_time_is_refused_at_once_but_a_large_photo_is_let_in(
    bucket: Bucket,
) -> None:
    large = photo_of(bytes(keeper.MAX_BYTES + 1))
    small = photo_of(b"small")

    async def work(ledger: Ledger) -> None:
        first = asyncio.create_task(ledger.record([row_of("large", large)], [large]))
        await asyncio.sleep(0)
        assert "too much waits" in (ledger.problem() or "")
        with pytest.raises(StorageError, match="too much waits"):
            await ledger.record([row_of("small", small)], [small])
        await first
        assert ledger.problem() is None
        await ledger.record([row_of("again", small)], [small])

    run(work, Options(**bucket.places, durability="strict"))
    assert bucket.statuses() == {"large": 200, "small": 503, "again": 200}


def test_best_effort_never_waits_and_counts_what_it_drops(bucket: Bucket) -> None:
    photos = [photo_of(bytes([n]) * 300_000) for n in range(100)]

    async def work(ledger: Ledger) -> None:
        bucket.down()
        for number, photo in enumerate(photos):
            await ledger.record([row_of(str(number), photo)], [photo])
        assert ledger.problem() is None
        assert 50 < ledger.gauges()["ledger_photos_dropped_total"] < 70
        bucket.up()

    figures = run(work, Options(**bucket.places, durability="best-effort"))
    rows, kept = bucket.rows(), bucket.photos()
    assert len(rows) + figures["ledger_rows_dropped_total"] == 100
    assert {row["status"] for row in rows} == {200}
    for row in rows:
        assert row["photo"] is None or row["photo"].rpartition("/")[2] in kept


# The spool.


def test_a_full_spool_refuses_at_once_and_recovers(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    photos = [photo_of(bytes([n]) * 50_000) for n in range(40)]

    async def work(ledger: Ledger) -> None:
        bucket.down()
        records = [
            ledger.record([row_of(str(number), photo)], [photo])
            for number, photo in enumerate(photos)
        ]
        done = await asyncio.gather(*records, return_exceptions=True)
        assert 10 < done.count(None) < 20
        assert "is full" in (ledger.problem() or "")
        with pytest.raises(StorageError, match="is full"):
            await ledger.record([row_of("small")], [])
        assert path.stat().st_size < 2_000_000
        bucket.up()
        await until(lambda: not ledger.gauges()["spool_bytes"])
        assert ledger.problem() is None
        await ledger.record([row_of("later", photos[-1])], [photos[-1]])

    options = Options(**bucket.places, durability="spool", spool=str(path), spool_bytes=1_000_000)
    run(work, options)
    statuses = bucket.statuses()
    assert statuses["0"] == statuses["later"] == 200
    assert statuses["39"] == statuses["small"] == 503


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits")
def test_a_spool_that_is_shipped_counts_no_bytes(bucket: Bucket, tmp_path: Path) -> None:
    """Rows of refusals and answers come at the same time."""

    async def work(ledger: Ledger) -> None:
        for number in range(20):
            ledger.note([row_of(f"note-{number}")])
            await asyncio.sleep(0)  # its write is under way
            photo = photo_of(bytes([number]) * 1000)
            await ledger.record([row_of(f"answer-{number}", photo)], [photo])
        await until(lambda: ledger.gauges()["ledger_rows_written_total"] == 40)
        await until(lambda: ledger.gauges()["spool_bytes"] <= 0)

    spool = str(tmp_path / "spool.sqlite")
    figures = run(work, Options(**bucket.places, durability="spool", spool=spool))
    assert figures["spool_bytes"] == 0


def test_a_disk_that_is_full_is_503_until_there_is_room(bucket: Bucket, tmp_path: Path) -> None:
    import resource

    options = {"durability": "spool", "spool": str(tmp_path / "spool.sqlite"), **bucket.places}
    recorder = Recorder(bucket, options=options, instance="disk", pause=0.01, photo_bytes=50_000)
    answers = recorder.answers(50)
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (4096, no_limit[1]))
    while sum(what == "no" for what, *_ in answers) < 50:
        answers += recorder.answers(10)
    resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, no_limit)
    good = 0
    while good < 50:
        answers += (new := recorder.answers(10))
        good += sum(what == "ok" for what, *_ in new)
    answers += recorder.stop()

    async def nothing(ledger: Ledger) -> None:
        await until(lambda: not ledger.gauges()["spool_bytes"])

    run(nothing, Options(**options))
    statuses, photos = bucket.statuses(), bucket.photos()
    for what, request, photo, _ in answers:
        assert statuses.get(request) == (200 if what == "ok" else 503)
        assert what == "no" or photo in photos


def test_an_object_that_arrived_unnoticed_is_not_made_again_by_the_next_process(
    bucket: Bucket, tmp_path: Path
) -> None:
    options = Options(**bucket.places, durability="spool", spool=str(tmp_path / "spool.sqlite"))

    async def first(ledger: Ledger) -> None:
        bucket.faults.kinds, bucket.faults.rate = ("cut",), 1
        await ledger.record([row_of("a")], [])
        await until(lambda: bucket.faults.injected["cut"] > 1)  # the first try has arrived

    async def second(ledger: Ledger) -> None:
        await ledger.record([row_of("b")], [])
        await until(lambda: not ledger.gauges()["spool_bytes"])

    run(first, options, "one")
    bucket.up()
    assert len(bucket.objects()) == 1
    run(second, options, "two")
    assert bucket.statuses() == {"a": 200, "b": 200}
    assert len(bucket.objects()) == 2


def test_a_spool_is_for_one_process_and_for_its_places(tmp_path: Path) -> None:
    spool = tmp_path / "state" / "spool.sqlite"
    options: dict[str, Any] = {
        "durability": "spool",
        "spool": str(spool),
        "trace": str(tmp_path / "trace"),
    }
    recorder = Recorder(None, options=options, instance="one", workers=0)
    with pytest.raises(UsageError, match="another server is at work on it"):
        run(nothing_to_do, Options(**options))
    recorder.kill()
    run(nothing_to_do, Options(**options))

    recorder = Recorder(None, options=options, instance="two", workers=1)
    recorder.answers(5)
    recorder.kill()
    with pytest.raises(UsageError, match=f"start once with --trace {tmp_path}"):
        run(nothing_to_do, Options(**{**options, "trace": str(tmp_path / "elsewhere")}))
    assert spool.stat().st_mode & 0o077 == 0


async def nothing_to_do(ledger: Ledger) -> None:
    pass


@pytest.mark.parametrize("content", [b"no database" * 100, None])
def test_a_file_that_is_no_spool_is_left_alone(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    if content is None:
        import sqlite3

        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE t(x)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(FlowersError, match=r"spool\.sqlite") as error:
        run(nothing_to_do, Options(trace=str(tmp_path), durability="spool", spool=str(path)))
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "spool.sqlite"
    with pytest.raises(StorageError, match="can't write to") as error:
        run(nothing_to_do, Options(trace=str(tmp_path), durability="spool", spool=str(path)))
    assert "\n" not in str(error.value)


# Which ledger, and what it says.


def test_the_durability_is_what_holds_where_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promise(**options: Any) -> str:
        return open_ledger(Options(**options), "i").promise

    keep, trace = str(tmp_path / "k"), str(tmp_path / "t")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/flowers:/var/lib/other")
    assert default_spool() == "/var/lib/flowers/spool.sqlite"
    assert promise(keep=keep, trace=trace) == (
        "spool: photo and row on this machine's disk (/var/lib/flowers/spool.sqlite) before the "
        f"answer is given, and from there to {keep} and to {trace}"
    )
    assert promise(keep=keep, durability="best-effort") == (
        f"best-effort: photos go to {keep} behind the answer; a crash or an outage loses what "
        "waits, 12 MB at most"
    )
    assert promise() == "nothing is kept: neither --keep nor --trace is given"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_spool() == "/state/flowers-onnx/spool.sqlite"
    monkeypatch.setenv("K_SERVICE", "flowers")
    strict = f"strict: the photo is in {keep} and the row is in {trace} before the answer is given"
    assert promise(keep=keep, trace=trace) == strict
    with pytest.raises(UsageError, match="disk is memory"):
        promise(keep=keep, durability="spool")
    with pytest.raises(UsageError, match="and this is strict"):
        promise(keep=keep, spool="x")
    with pytest.raises(UsageError, match="give --keep"):
        promise(durability="strict")
    with pytest.raises(UsageError, match="not hope"):
        promise(trace=trace, durability="hope")


@pytest.mark.parametrize("durability", ["strict", "spool", "best-effort"])
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("gs://no-such-bucket/keep", "no such bucket"),
        ("http://example.com/", "no storage known here"),
        ("gs://", "no bucket"),
        ("FILE", "can't write"),
    ],
)
def test_a_place_of_no_use_is_told_before_the_start(
    durability: str, place: str, reason: str, bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = place.replace("FILE", str(tmp_path / "file"))
    spool = str(tmp_path / "spool.sqlite") if durability == "spool" else None
    with pytest.raises(FlowersError, match=reason) as error:
        run(nothing_to_do, Options(keep=place, durability=durability, spool=spool))
    assert "\n" not in str(error.value)


def test_nothing_is_kept_where_nobody_asks_for_it() -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.record([row_of("a")], [photo_of(b"a")])
        ledger.note([row_of("b")])
        assert ledger.problem() is None

    assert run(work, Options()) == {}


def test_strict_needs_its_place_at_the_start_and_a_spool_does_not(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.down()
    with pytest.raises(StorageError):
        run(nothing_to_do, Options(**bucket.places, durability="strict"))

    async def work(ledger: Ledger) -> None:
        await ledger.record([row_of("a")], [])
        bucket.up()

    spool = str(tmp_path / "spool.sqlite")
    run(work, Options(**bucket.places, durability="spool", spool=spool))
    assert bucket.statuses() == {"a": 200}
