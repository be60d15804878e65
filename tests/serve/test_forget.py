"""``flowers trace forget``: what a person asked to have deleted is gone, and nothing else."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fakes.bigquery import BigQueryFake
from fakes.gcs import fake_gcs
from serve.traces import DAY, TABLE, URI, as_loaded, put, row
from support import Run

from flowers_onnx import storage
from flowers_onnx.errors import OutputError, StorageError, UsageError
from flowers_onnx.record import to_json
from flowers_onnx.serve.trace import forget, load
from flowers_onnx.serve.trace.options import ForgetOptions, LoadOptions
from flowers_onnx.serve.trace.row import REQUESTS, TraceRow
from flowers_onnx.storage import store_for
from flowers_onnx.storage.local import LocalStore
from flowers_onnx.tables import sink_for

SUFFIXES = (".jsonl", ".csv", ".parquet", ".sqlite")


def name(number: int) -> str:
    return row(number)["request_id"]


def digest(photo: str) -> str:
    return sha256(photo.encode()).hexdigest()


class Served:
    """What a server has kept: two objects of rows, photos and remembered answers."""

    def __init__(self, root: str) -> None:
        self.trace, self.keep = f"{root}/trace", f"{root}/kept"
        self.ada, self.bob, self.both = map(digest, ("ada", "bob", "both"))
        self.rows = [
            self.row(1, self.ada),
            self.row(2, self.bob),
            self.row(3, self.both),
            self.row(4, self.both),
            self.row(5, self.bob, part=0),
            self.row(5, digest("more"), part=1),
            self.row(6, None, client_request_id=name(1)),
            self.row(8, self.ada, replay_of=name(1), idempotency_key="mine"),
            self.row(9, digest("alone")),
        ]
        for photo in {each["sha256"] for each in self.rows if each["sha256"]}:
            self.write(f"{self.keep}/{photo}.jpg", photo)
        put(self.trace, self.rows[:4], 0)
        put(self.trace, self.rows[4:8], 1)
        put(self.trace, self.rows[8:], 0, instance="other", day="2026-11-26")
        for number in (1, 2):
            answer = {"fingerprint": "f", "request_id": name(number), "status": 200, "body": "{}"}
            self.write(f"{self.trace}/idempotency/{number}/answer", to_json(answer))
            self.write(f"{self.trace}/idempotency/{number}/claim-1", "{}")

    def row(self, number: int, photo: str | None, **more: Any) -> TraceRow:
        about = {"sha256": photo, "kept_sha256": photo and digest(photo)}
        about["photo"] = photo and f"{self.keep}/{photo}.jpg"
        return row(number, **about | more)

    def write(self, place: str, text: str) -> None:
        store_for(place).write(place, text.encode())

    def forget(self, *ids: str, to: str | None = None, dry_run: bool = False) -> int:
        return forget.run(ForgetOptions(self.trace, self.keep, to, ids, dry_run))

    def left(self) -> list[dict[str, Any]]:
        """The rows."""
        store = store_for(self.trace)
        places = store.names(f"{self.trace}/dt")
        return [
            json.loads(line)
            for place in places
            for line in (store.download(place) or b"").splitlines()
        ]

    def names(self, folder: str) -> list[str]:
        return [each.rpartition(f"/{folder}/")[2] for each in store_for(self.keep).names(
            f"{self.keep if folder == 'kept' else self.trace}/"
        ) if f"/{folder}/" in each]  # fmt: skip

    def photos(self) -> set[str]:
        return {each.removesuffix(".jpg") for each in self.names("kept")}


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(str(tmp_path))


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_request_by_the_command(flowers: Run, served: Served, tmp_path: Path) -> None:
    before = files(tmp_path)
    words = ("trace", "forget", name(9), "--trace", "trace", "--keep", "kept")
    tried = flowers(*words, "--dry_run")
    assert tried.returncode == 0
    assert files(tmp_path) == before
    done = flowers(*words)
    assert done.returncode == 0, done.stderr
    assert tried.stdout.replace(b"would be deleted", b"deleted") == done.stdout
    assert done.stdout.decode().splitlines() == [
        f"photo file://{tmp_path}/kept/{digest('alone')}.jpg: deleted",
        "1 row in 1 object of trace: deleted",
    ]
    assert served.left() == served.rows[:8]
    # An object without rows stays, so that nobody makes the old one again.
    emptied = f"{tmp_path}/trace/dt=2026-11-26/other-0000000000.jsonl"
    gone = f"{tmp_path}/kept/{digest('alone')}.jpg"
    assert {path for path, found in files(tmp_path).items() if before.get(path) != found} == {
        emptied
    }
    assert before.keys() - files(tmp_path).keys() == {gone}
    again = flowers(*words)
    assert again.returncode == 1
    assert again.stdout.decode() == f"{name(9)}: no row in trace\n"
    assert flowers("trace", "load", "trace", "--to", "x.jsonl").returncode == 0
    assert flowers("trace", "forget", "Ada", "--trace", "trace").returncode == 2


def test_a_photo_that_others_sent_stays(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert served.forget(name(3)) == 0
    assert f"photo {served.both}: stays, 1 row of other requests have it" in capsys.readouterr().out
    assert served.both in served.photos()
    assert served.left() == [each for each in served.rows if each["request_id"] != name(3)]
    assert served.forget(name(4)) == 0
    assert served.both not in served.photos()


@pytest.mark.parametrize("kept", [False, True])
def test_a_photo_by_its_hash(served: Served, kept: bool) -> None:
    word = digest(served.bob) if kept else served.bob.upper()
    assert served.forget(word) == 0
    # The other photo of a request, and its row, stay.
    assert served.left() == [each for each in served.rows if each["sha256"] != served.bob]
    assert served.bob not in served.photos()
    assert digest("more") in served.photos()
    assert served.forget(word) == 1


@pytest.mark.parametrize("number", [1, 8])
def test_repeats_and_remembered_answers_go_too(served: Served, number: int) -> None:
    assert served.forget(name(number)) == 0
    assert served.left() == [
        each for each in served.rows if each["request_id"] not in (name(1), name(8))
    ]
    assert served.ada not in served.photos()
    assert served.names("idempotency") == ["2/answer", "2/claim-1"]
    assert name(1) in str(served.left())  # as another client's own id: not ours to judge


def test_a_photo_without_rows(served: Served) -> None:
    lost = digest("lost")
    served.write(f"{served.keep}/{lost}.webp", "lost")
    assert served.forget(lost) == 0
    assert f"{lost}.webp" not in served.names("kept")


def test_without_keep_the_rows_tell_where_the_photo_is(served: Served) -> None:
    assert forget.run(ForgetOptions(served.trace, None, None, (name(9),))) == 0
    assert digest("alone") not in served.photos()


def test_several_at_once_and_one_unknown(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served.forget(name(2), name(77), served.both) == 0
    out = capsys.readouterr().out
    assert re.findall(r"(\S+): no row in", out) == [name(77)]
    assert served.both not in served.photos()
    assert served.bob in served.photos()  # request 5 has it


@pytest.mark.parametrize("word", ["", "ada", "*", "01926f3a", "g" * 64, f"{'0' * 64}x"])
def test_what_is_no_id(served: Served, word: str) -> None:
    with pytest.raises(UsageError, match="neither a request id"):
        served.forget(name(1), word)
    assert served.left() == served.rows


def cut_off_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Let all changes in storage fail but the first ``steps``."""
    left = steps

    def counted(method: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise StorageError("read_error", "cut off")
            return method(*words, **more)

        return call

    for name in ("write", "delete"):
        patch.setattr(LocalStore, name, counted(getattr(LocalStore, name)))


def test_a_run_that_was_cut_off_is_run_again(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At each of its steps."""
    for step in range(100):
        again = Served(str(tmp_path / str(step)))
        with monkeypatch.context() as patch:
            cut_off_after(step, patch)
            try:
                assert again.forget(name(1)) == 0
            except StorageError:
                is_cut = True
            else:
                is_cut = False
        if is_cut:
            assert again.forget(name(1)) == 0
        assert len(again.left()) == len(served.rows) - 2
        assert again.ada not in again.photos()
        assert again.names("idempotency") == ["2/answer", "2/claim-1"]
        if not is_cut:
            assert step >= 4
            return


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_of_a_file(served: Served, suffix: str, tmp_path: Path) -> None:
    to = str(tmp_path / f"loaded{suffix}")
    assert load.run(LoadOptions(served.trace, to)) == 0
    assert served.forget(name(2), to=to, dry_run=True) == 0
    assert len([*sink_for(to, REQUESTS).existing()]) == 9
    assert served.forget(name(2), served.ada, to=to) == 0
    left = [each for each in served.rows if each["sha256"] != served.ada]
    left = [each for each in left if each["request_id"] != name(2)]
    assert [*sink_for(to, REQUESTS).existing()] == left
    assert served.left() == left
    assert served.forget(name(2), to=to) == 1


def test_rows_of_a_table(
    served: Served, bigquery: BigQueryFake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served.forget(name(77), to=URI) == 1  # no table yet
    load.run(LoadOptions(served.trace, URI))
    assert served.forget(name(8), served.bob, to=URI, dry_run=True) == 0
    assert f"4 rows of {URI}: would be deleted" in capsys.readouterr().out
    assert len(bigquery.rows(TABLE)) == 9
    assert served.forget(name(8), served.bob, to=URI) == 0
    gone = (served.ada, served.bob)
    left = [each for each in served.rows if each["sha256"] not in gone]
    assert bigquery.rows(TABLE) == as_loaded(left)
    assert f"4 rows of {URI}: deleted" in capsys.readouterr().out


def test_rows_that_were_inserted_a_moment_ago(served: Served, bigquery: BigQueryFake) -> None:
    load.run(LoadOptions(served.trace, URI))
    bigquery.streaming_buffer = True
    with pytest.raises(OutputError, match=r"90 minutes.*run this command again"):
        served.forget(name(2), to=URI)
    assert name(2) not in str(served.left())
    bigquery.streaming_buffer = False
    assert served.forget(name(2), to=URI) == 0
    assert name(2) not in str(bigquery.rows(TABLE))


def test_a_load_under_way_is_waited_for(served: Served, bigquery: BigQueryFake) -> None:
    before = served.left()
    bigquery.fail("403", "upload")  # the manifest is made, the rows aren't loaded
    with pytest.raises(OutputError):
        load.run(LoadOptions(served.trace, URI))
    for dry_run in (True, False):
        with pytest.raises(OutputError, match="being loaded"):
            served.forget(name(2), to=URI, dry_run=dry_run)
    with pytest.raises(OutputError, match="being loaded"):
        served.forget(name(2))
    assert served.left() == before
    assert served.forget(name(77)) == 1  # concerns none of its rows
    load.run(LoadOptions(served.trace, URI))
    assert served.forget(name(2), to=URI) == 0
    assert name(2) not in str(bigquery.rows(TABLE))


def test_in_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gcs() as fake:
        for variable, value in fake.env.items():
            monkeypatch.setenv(variable, value)
        fake.create("bucket")
        storage._store.cache_clear()
        try:
            served = Served(fake.uri("bucket", "served"))
            assert served.forget(served.ada, name(2)) == 0
            assert [each["request_id"] for each in served.left()] == [
                name(number) for number in (3, 4, 5, 5, 6, 9)
            ]
            assert served.photos() == {digest(photo) for photo in ("bob", "both", "more", "alone")}
            assert served.names("idempotency") == []
        finally:
            storage._store.cache_clear()


def test_a_line_that_makes_no_sense(served: Served) -> None:
    """It is gone if it has the word in it: nobody could say any more what else it is."""
    place = Path(served.trace, f"dt={DAY}", "one-0000000002.jsonl")
    place.write_bytes(b'{"request_id": "%b", \n{"cut\n' % name(2).encode())
    assert served.forget(name(2)) == 0
    assert place.read_bytes() == b'{"cut\n'
