"""``flowers batch --watch``: what comes into a folder is in the result once, whatever happens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import FLOWERS, PATIENCE, Run, job, make_row, posix, result_sink, wait_until

from flowers_onnx.batch.log import Log
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.shard import Shard
from flowers_onnx.batch.stop import Stop
from flowers_onnx.batch.tally import Tally
from flowers_onnx.batch.unfinished import is_unfinished
from flowers_onnx.batch.watch import Folders, watched_folders
from flowers_onnx.batch.watching import Watching
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.exif import Taken
from flowers_onnx.results import Failure, Query
from flowers_onnx.sources import RawFiles
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.local import version_of
from flowers_onnx.tables.schema import AnyRow

pytestmark = posix

SETTLE = 0.3


class Watch:
    """A process that watches, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, result: Path) -> None:
        self.process, self.log, self.result = process, log, result

    def said(self) -> str:
        text = self.log.read_text()
        assert "Traceback" not in text, text
        return text

    def rows(self) -> list[dict[str, Any]]:
        return [{**row} for row in result_sink(self.result).existing()]

    def names(self) -> list[str]:
        """Of all rows, as often as they are there."""
        return sorted(Path(row["source_uri"]).name for row in self.rows())

    def shows(self, *names: str) -> None:
        """Wait until the result has these, and nothing else."""
        wait_until(lambda: self.process.poll() is not None or self.names() == sorted(names))
        assert self.names() == sorted(names), self.said()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said so."""
        wait_until(lambda: self.process.poll() is not None or self.said().count(text) >= times)
        assert self.said().count(text) == times

    def has_published(self, images: int) -> None:
        """Wait until it has, and all that comes with it is done."""
        record = self.result.with_name(f"{self.result.name}.run.json")
        wait_until(
            lambda: record.exists() and json.loads(record.read_text())["counts"]["images"] == images
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def watching(*words: str | Path, out: Path, log: Path, settle: float = SETTLE) -> Iterator[Watch]:
    command = [FLOWERS, "batch", *words, "--out", out, "--watch", "--settle", str(settle)]
    if "--min_confidence" not in command:
        command += ["--min_confidence", "0"]
    with (
        open(log, "ab") as stderr,
        subprocess.Popen(command, stderr=stderr) as process,
    ):
        try:
            watch = Watch(process, log, out)
            told = log.read_text().count("watches ")
            wait_until(
                lambda: process.poll() is not None or log.read_text().count("watches ") > told
            )
            yield watch
        finally:
            process.kill()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A hundred small pictures, no two the same."""
    from PIL import Image

    path, draw = tmp_path_factory.mktemp("pictures") / "one.png", random.Random(4)
    found = []
    for _ in range(100):
        Image.frombytes("RGB", (12, 12), draw.randbytes(432)).resize((48, 48)).save(path)
        found.append(path.read_bytes())
    return found


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    return folder


def write_slowly(folder: Path, files: dict[str, bytes], pause: float) -> None:
    """All of them at a time, a piece of each in turn."""
    pieces = 4
    for piece in range(pieces):
        for name, content in files.items():
            size = len(content) // pieces + 1
            with open(folder / name, "ab") as file:
                file.write(content[piece * size : (piece + 1) * size])
        time.sleep(pause)


def test_bursts_of_files_half_of_them_slow_each_once(
    flowers: Run, album: Path, tmp_path: Path, pictures: list[bytes]
) -> None:
    """With its own output among them, odd names and times, temporary names, stalled writers."""
    draw = random.Random(1)
    odd = ["a,b.png", "-x.png", "100%.PNG", "ñ é.png", "line\nbreak.png", os.fsdecode(b"\xff.png")]
    names = [*odd, *(f"{number:03}.png" for number in range(194))]
    files = {name: pictures[number % 100] for number, name in enumerate(names)}
    slow = dict(list(files.items())[1::2])
    fast = {name: content for name, content in files.items() if name not in slow}
    stalled = dict(list(slow.items())[:10])
    downloads = {name: fast.pop(name) for name in list(fast)[:5]}
    (album / "deep" / "er").mkdir(parents=True)
    (album / ".hidden.png").write_bytes(pictures[0])
    with watching(album, album / "deep", out=album / "r.jsonl", log=tmp_path / "log") as watch:
        writers = [
            threading.Thread(target=write_slowly, args=(album, part, pause))
            for part, pause in (
                (stalled, 1.5 * SETTLE),  # for longer than what is whole has to be the same
                ({name: slow[name] for name in slow if name not in stalled}, SETTLE / 3),
            )
        ]
        for writer in writers:
            writer.start()
        for name, content in downloads.items():  # whole for long, and not yet renamed
            (album / f"{name}.crdownload").write_bytes(content)
        for burst in range(4):
            for name in list(fast)[burst::4]:
                place = album / "deep" / "er" if draw.random() < 0.3 else album
                temporary = place / f"{name}{draw.choice(['.part', '.crdownload', '~', '.tmp'])}"
                temporary.write_bytes(files[name])
                os.utime(temporary, (0, draw.choice([0, 1e9, 4e9])))
                if draw.random() < 0.5:
                    time.sleep(0.002)
                temporary.rename(place / name)
                (place / f"{name}.xmp").write_text("<x:xmpmeta/>")
            time.sleep(1.5 * SETTLE)
        for writer in writers:
            writer.join()
        for name in downloads:
            (album / f"{name}.crdownload").rename(album / name)
        wait_until(lambda: len(watch.rows()) == len(files) or watch.process.poll() is not None)
        assert watch.end() == 0
        rows = watch.rows()
        hashes = {
            path.as_uri(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in album.rglob("*")
            if path.suffix.lower() == ".png" and path.name != ".hidden.png"
        }
        assert len(hashes) == len(rows) == len(files)
        assert {row["source_uri"]: row["sha256"] for row in rows} == hashes
        assert {row["status"] for row in rows} == {"ok"}
        lines = watch.said().splitlines()
    assert lines[0] == f"flowers: watches {album}, {album}/deep; SIGTERM or Ctrl-C ends it in order"
    assert lines[-1] == "flowers: ended in order; done in all: 200 named, 0 failed"
    assert all(line.endswith(f"; published to {album}/r.jsonl") for line in lines[1:-1])
    assert json.loads((album / "r.jsonl.run.json").read_text())["counts"]["images"] == 200
    assert not (album / "r.jsonl.journal").exists()
    # Nor has a run that doesn't watch anything left to do, nor one that does.
    again = flowers("batch", album, "--out", album / "r.jsonl", "--min_confidence", "0")
    assert b"nothing to do: 200 images were done before" in again.stderr


def test_sidecars_come_with_the_rows(sample: Path, album: Path, tmp_path: Path) -> None:
    """Of what was there, of what was done before they were asked for, and of what comes."""
    out, log = tmp_path / "r.csv", tmp_path / "log"
    shutil.copy(sample, album / "early.jpg")
    with watching(album, out=out, log=log) as watch:
        watch.shows("early.jpg")
        assert watch.end() == 0
    assert not (album / "early.jpg.xmp").exists()
    with watching(album, "--sidecar", out=out, log=log) as watch:
        wait_until((album / "early.jpg.xmp").exists)
        (album / "locked.jpg.xmp").write_text("no XMP")
        for name in ("late.jpg", "locked.jpg"):
            shutil.copy(sample, album / name)
        watch.shows("early.jpg", "late.jpg", "locked.jpg")
        watch.says("no sidecar: ")
        watch.has_published(2)
        assert (album / "late.jpg.xmp").exists()
        assert watch.end() == 0
        said = watch.said()
    assert (album / "locked.jpg.xmp").read_text() == "no XMP"
    assert said.count("no sidecar: ") == 1
    assert "done again" not in said
    first, *_, last = (line for line in said.splitlines() if "sidecars: " in line)
    assert first == "flowers: sidecars: 1 written"
    assert last.endswith("2 named, 0 failed; sidecars: 2 written, 1 failed")


def test_a_signal_ends_it_while_it_writes_the_first_sidecars(
    flowers: Run, sample: Path, album: Path, tmp_path: Path
) -> None:
    """As at any other moment; the rest of the sidecars is written the next time."""
    shutil.copy(sample, album / "0.jpg")
    out = tmp_path / "r.jsonl"
    assert flowers("batch", album, "--out", out).returncode == 0
    row = out.read_text()
    gone = (row.replace("/0.jpg", f"/gone{number}.jpg") for number in range(15_000))
    out.write_text("".join([row, *gone]))
    command: list[str | Path] = [FLOWERS, "batch", album, "--out", out, "--watch", "--sidecar"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_until(lambda: process.poll() is not None or (album / "0.jpg.xmp").exists())
        process.terminate()
        said = process.communicate(timeout=PATIENCE)[1].decode().splitlines()
    assert process.returncode == 0
    assert said[0].startswith("flowers: watches ")
    assert said[-1].startswith("flowers: ended in order; ")


@pytest.mark.parametrize("leaves", [b"", None], ids=["empty", "gone"])
def test_a_result_that_is_taken_away_is_made_anew(
    album: Path, tmp_path: Path, pictures: list[bytes], leaves: bytes | None
) -> None:
    """With all that it had, not only with what came after."""
    out, archived = tmp_path / "r.jsonl", tmp_path / "archived.jsonl"
    with watching(album, out=out, log=tmp_path / "log") as watch:
        for number in range(2):
            (album / f"{number}.png").write_bytes(pictures[number])
        watch.shows("0.png", "1.png")
        watch.has_published(2)
        out.rename(archived)
        if leaves is not None:
            out.write_bytes(leaves)
        (album / "2.png").write_bytes(pictures[2])
        watch.says(f"{out} was removed or replaced: what it had is done again\n")
        watch.shows("0.png", "1.png", "2.png")
        watch.has_published(3)
        out.unlink()
        assert watch.end() == 0
        # By the same command, if it sees that only at its end.
        watch.says(f"{out} was removed or replaced: what it had is done again", 2)
    assert len(archived.read_text().splitlines()) == 2


def test_records_say_what_has_no_row(sample: Path, album: Path, tmp_path: Path) -> None:
    from PIL import Image

    out = tmp_path / "r.dwc.csv"
    Image.new("RGB", (64, 64)).save(album / "black.png")
    words = (album, "--min_confidence", "0.9")
    with watching(*words, out=out, log=tmp_path / "log") as watch:
        watch.says(f"1 not known, 0 failed; no row of them published to {out}")
        shutil.copy(sample, album / "a.jpg")
        watch.says(f"1 named, 0 failed; published to {out}")
        assert watch.end() == 0
        *_, rowless, end = watch.said().splitlines()
    assert rowless.startswith(f"flowers: failed or not known, and so without a row in {out}: 1;")
    assert end == "flowers: ended in order; done in all: 1 named, 1 not known, 0 failed"


def test_a_kill_loses_nothing(album: Path, tmp_path: Path, pictures: list[bytes]) -> None:
    result = tmp_path / "r.sqlite"
    names = [f"{number:02}.png" for number in range(60)]
    journal = tmp_path / "r.sqlite.journal"
    with watching(album, out=result, log=tmp_path / "log") as watch:
        (album / names[0]).write_bytes(pictures[0])
        watch.shows(names[0])
        for number, name in enumerate(names[1:50], 1):
            (album / name).write_bytes(pictures[number])
        wait_until(lambda: journal.read_bytes().count(b'"status"') > 4)
        assert watch.end(signal.SIGKILL) == -signal.SIGKILL
    for number, name in enumerate(names[50:], 50):
        (album / name).write_bytes(pictures[number])
    with watching(album, out=result, log=tmp_path / "log") as watch:
        watch.shows(*names)
        (album / names[0]).unlink()
        (album / "last.png").write_bytes(pictures[99])
        wait_until(lambda: b"last.png" in journal.read_bytes())
        assert watch.end(signal.SIGINT) == 0  # publishes what is done, without a moment of silence
        assert watch.names() == sorted([*names, "last.png"])


def test_what_changes_in_a_backlog_is_there_once(
    sample: Path, album: Path, tmp_path: Path, pictures: list[bytes]
) -> None:
    """Written on, replaced, renamed and deleted while others are before it in the queue."""
    from PIL import Image

    with Image.open(sample) as image:
        image.resize((3600, 2400)).save(tmp_path / "large.jpg", quality=92, progressive=True)
    content = (tmp_path / "large.jpg").read_bytes()
    journal = tmp_path / "r.jsonl.journal"
    with watching(
        album, "--threads", "1", "--fetch", "64", out=tmp_path / "r.jsonl", log=tmp_path / "log"
    ) as watch:
        for number in range(22):
            (album / f"{number:02}.jpg").write_bytes(content)

        def waiting() -> list[Path]:
            done = journal.read_text()
            return [path for path in sorted(album.iterdir()) if path.as_uri() not in done]

        wait_until(lambda: len(waiting()) < 22)
        for turn in range(12):  # others come, so that the burst goes on
            (album / f"new{turn}.png").write_bytes(pictures[turn])
            for path in waiting() if turn in {0, 6} else []:
                os.utime(path)
            time.sleep(0.1)
        *_, changed, moved, replaced, taken, deleted = waiting()
        changed.write_bytes(content + b"0")
        moved.rename(album / "moved.jpg")
        taken.replace(replaced)
        deleted.unlink()
        left = {path.as_uri(): path for path in album.iterdir()}

        def is_done() -> bool:
            rows = {row["source_uri"]: row for row in watch.rows()} if watch.result.exists() else {}
            versions = {uri: version_of(path.stat()) for uri, path in left.items()}
            return versions.items() <= {u: row["source_version"] for u, row in rows.items()}.items()

        wait_until(lambda: watch.process.poll() is not None or is_done())
        assert watch.end() == 0, watch.said()
        rows = watch.rows()
    assert is_done()
    assert len(rows) == len({row["source_uri"] for row in rows})
    assert {row["status"] for row in rows} == {"ok"}


def test_a_folder_may_vanish_and_return(album: Path, tmp_path: Path, pictures: list[bytes]) -> None:
    away = tmp_path / "away"
    with watching(album, out=tmp_path / "r.csv", log=tmp_path / "log") as watch:  # empty at first
        for number in range(2):
            (album / f"{number}.png").write_bytes(pictures[number])
            watch.shows(*(f"{each}.png" for each in range(number + 1)))
            album.rename(away)
            told = f"can't list {album}: no such file or folder; goes on when it can be"
            watch.says(told, number + 1)
            time.sleep(4 * SETTLE)
            watch.says(told, number + 1)
            away.rename(album)
            watch.says(f"{album} can be listed again", number + 1)
        shutil.rmtree(album)
        album.mkdir()
        (album / "new.png").write_bytes(pictures[3])
        watch.shows("0.png", "1.png", "new.png")
        assert watch.end(signal.SIGHUP) == 0


def test_a_publish_that_fails_is_told_once_and_tried_again(
    album: Path, tmp_path: Path, pictures: list[bytes]
) -> None:
    place, away = tmp_path / "place", tmp_path / "away"
    place.mkdir()
    (album / "0.png").write_bytes(pictures[0])
    words = (album, "--journal", tmp_path / "journal", "--log_format", "json")
    with watching(*words, out=place / "r.jsonl", log=tmp_path / "log") as watch:
        watch.shows("0.png")
        watch.has_published(1)
        place.rename(away)
        (album / "1.png").write_bytes(pictures[1])
        watch.says("can't write")
        (album / "2.png").write_bytes(pictures[2])  # goes on meanwhile
        wait_until(lambda: b"2.png" in (tmp_path / "journal").read_bytes())
        away.rename(place)
        watch.shows("0.png", "1.png", "2.png")
        watch.has_published(3)
        place.rename(away)
        (album / "3.png").write_bytes(pictures[3])
        watch.says("can't write", 2)
        assert watch.end() == 4
        lines = [json.loads(line) for line in watch.said().splitlines()]
    assert [line["severity"] for line in lines].count("ERROR") == 3  # the end says why it is 4
    assert lines[1]["counts"]["images"] == 1
    assert "1 image is done and kept in" in lines[-2]["message"]
    away.rename(place)
    with watching(*words, out=place / "r.jsonl", log=tmp_path / "log") as watch:
        assert watch.end() == 0
        assert watch.names() == ["0.png", "1.png", "2.png", "3.png"]


def test_an_error_is_one_after_a_while_and_gives_way_to_a_newer_version(
    album: Path, tmp_path: Path, pictures: list[bytes]
) -> None:
    half = len(pictures[0]) // 2
    (album / "slow.png").write_bytes(pictures[0][:half])
    (album / "empty.jpg").touch()
    (album / "gone.png").symlink_to(tmp_path / "later.png")
    with watching(album, out=tmp_path / "r.jsonl", log=tmp_path / "log", settle=0.2) as watch:
        (album / "good.png").write_bytes(pictures[1])
        watch.shows("good.png")
        watch.shows("empty.jpg", "good.png", "slow.png")  # nobody has written for long
        watch.says(f"failed: {album}/empty.jpg: the file is empty")
        watch.says(f"failed: {album}/slow.png")
        with open(album / "slow.png", "ab") as file:
            file.write(pictures[0][half:])
        (tmp_path / "later.png").write_bytes(pictures[2])
        watch.shows("empty.jpg", "gone.png", "good.png", "slow.png")
        wait_until(lambda: [row["status"] for row in watch.rows()].count("ok") == 3)
        # A changed photo has one row, too: that of the last version.
        (album / "good.png").write_bytes(pictures[3])
        digest = hashlib.sha256(pictures[3]).hexdigest()
        wait_until(lambda: digest in {row["sha256"] for row in watch.rows()})
        watch.shows("empty.jpg", "gone.png", "good.png", "slow.png")
        assert watch.end() == 0


def test_a_journal_that_is_removed_is_made_anew(
    album: Path, tmp_path: Path, pictures: list[bytes]
) -> None:
    """With the folder and the result in it: what comes then is done all the same."""
    (album / "0.png").write_bytes(pictures[0])
    with watching(album, out=album / "r.jsonl", log=tmp_path / "log", settle=0.2) as watch:
        watch.has_published(1)
        shutil.rmtree(album)
        album.mkdir()
        (album / "1.png").write_bytes(pictures[1])
        watch.shows("1.png")
        watch.says("was removed or replaced: what it had is done again")
        assert watch.end() == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gs://b/photos/"], "--watch is for folders on this machine; for gs://b/photos/ use cron"),
        (["{}/*.png"], "no such folder"),
        (["{}/a.png"], "--watch needs folders"),
        (["{}/none"], "no such folder"),
        (["file://other/photos"], "no such folder"),
    ],
)
def test_what_can_not_be_watched(album: Path, words: list[str], said: str) -> None:
    (album / "a.png").touch()
    with pytest.raises(UsageError) as told:
        watched_folders([word.format(album) for word in words])
    assert said in str(told.value)


def test_watching_in_the_wrong_place_is_wrong_usage(flowers: Run, album: Path) -> None:
    for words in (["--from", "list.txt", "--watch"], [str(album), "--settle", "3"]):
        with pytest.raises(UsageError, match=r"--watch is for folders|--settle is for --watch"):
            job("batch", *words, "--out", "r.csv")
    done = flowers("batch", "none", "--out", "r.csv", "--watch")
    assert (done.returncode, done.stderr) == (2, b"flowers: --watch: none: no such folder\n")


@pytest.mark.parametrize(
    "name",
    [
        *("a.jpg.part", "a.part", "A.JPG.crdownload", "Unconfirmed 31.crdownload", "a.jpg~", "b~"),
        *("a.jpg.tmp", "BIT31.tmp", "~syncthing~a.jpg.tmp", "a.jpg.filepart", "a.jpg.aXb31f"),
        *("a.jpg_exiftool_tmp", "a.jpg_original", "a.jpg.xmp", "a.cr2.xmp", "a.jpg.~41b2c3"),
        *("a.jpg.9f3e.partial", "a.jpg.!sync", "a.jpeg.upload", "a.png-temp"),
    ],
)
def test_names_of_what_is_on_its_way(name: str) -> None:
    assert is_unfinished(name)


@pytest.mark.parametrize(
    "name", ["a.jpg", "~a.JPG", "a.part.jpg", "IMG_0001", "a.jpg.1", "a.jpg?w=600", "2.tmp.png"]
)
def test_names_of_photos(name: str) -> None:
    assert not is_unfinished(name)


def test_nothing_counts_of_a_file_that_changes_while_it_is_read(album: Path) -> None:
    photo, told = album / "a.png", list[str]()
    photo.write_bytes(b"1")
    released: list[Item] = []
    stop = Stop()
    folders = Folders(
        [str(album)], 0.01, stop, claim=lambda _item: True, on_raw=told.append, say=told.append
    )

    def given() -> Item:
        return next(folders.burst())

    item = given()
    failure = Failure("truncated", "", "", None, "m")
    photo.write_bytes(b"22")  # after it was read
    assert not list(folders.settled(iter([(item, failure, Taken())]), released.append))
    newer = given()
    assert newer.version != item.version
    photo.write_bytes(b"333")
    newest = Item(newer.uri, f"3-{os.stat(photo).st_mtime_ns}", 3)  # before it was read
    assert not list(folders.settled(iter([(newest, failure, Taken())]), released.append))
    last = given()
    assert last == newest
    # The first failure is none yet, the second one is.
    assert not list(folders.settled(iter([(last, failure, Taken())]), released.append))
    assert given() == last
    assert list(folders.settled(iter([(last, failure, Taken())]), released.append)) == [
        (last, failure, Taken())
    ]
    assert released == [item, newer, last, last]
    assert not told


def test_an_image_is_in_work_once_at_a_time(album: Path) -> None:
    """What changes before its result is given again after it, and what failed is, too."""
    names = ["0.png", "1.png", "2.png"]
    for name in names:
        (album / name).write_bytes(b"1")
    released: list[Item] = []
    folders = Folders([str(album)], 0.01, Stop(), claim=lambda _item: True, on_raw=print, say=print)

    def given() -> Item:
        return next(folders.burst())

    first = {Path(item.uri).name: item for item in (given() for _ in names)}
    assert sorted(first) == names
    (album / "1.png").write_bytes(b"22")
    (album / "2.png").unlink()
    time.sleep(0.05)
    (album / "3.png").write_bytes(b"4")
    assert Path(given().uri).name == "3.png"  # looked at later, and taken before
    (album / "1.png").write_bytes(b"333")
    assert not list(folders.burst(time.monotonic() + 0.2))

    def settle(item: Item) -> int:
        """How many results count."""
        failure = Failure("truncated", "", "", None, "m")
        return len(list(folders.settled(iter([(item, failure, Taken())]), released.append)))

    assert settle(first["1.png"]) == settle(first["2.png"]) == settle(first["0.png"]) == 0
    assert released == [first["1.png"], first["2.png"], first["0.png"]]
    again = [given() for _ in range(2)]
    assert sorted((item.size, Path(item.uri).name) for item in again) == [
        (1, "0.png"),
        (3, "1.png"),
    ]
    assert sum(map(settle, again)) == 1  # the second failure of the same file counts


def test_a_table_gets_the_same_rows_again_before_others(tmp_path: Path) -> None:
    """A load whose answer was lost may have arrived: with more rows it would be another one."""
    loads: list[list[str]] = []

    class Table:
        appends = True
        tells_names = False

        def existing(self) -> Iterator[AnyRow]:
            return iter(())

        sample = existing

        def publish(self, rows: Iterable[AnyRow]) -> None:
            loads.append([str(row["source_uri"]) for row in rows])
            if len(loads) < 3:
                raise OutputError("no answer")

        def close(self) -> None:
            pass

    options = Options(
        sources=(), manifest=None, out="", journal=str(tmp_path / "j"), shard=Shard(), fetch=1,
        max_errors=None, retry_errors=False, log_format="json", mix_settings=False, query=Query(),
        model=None, threads=None, max_pixels=1, settle=0.01, exif=False, sidecar=False,
    )  # fmt: skip
    photos, published, stop = tmp_path / "photos", list[int](), Stop()
    photos.mkdir()
    (photos / "1.png").write_bytes(b"1")

    def classify(items: Iterator[Item], add: Any, those_that_count: Any) -> None:
        done = ((item, Failure("corrupt", "", "", None, "m"), Taken()) for item in items)
        for item, result, _ in those_that_count(done):
            add(make_row(item, result, "r", "2026-01-01T00:00:00.000Z"))
            (photos / "2.png").write_bytes(b"2")

    def on_published(tally: Tally) -> None:
        published.append(tally.images)
        if len(published) == 2:
            stop.ask()

    output = Output(Table(), options.journal, by_version=True, retry_errors=False, latest=True)
    with output, pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowers_onnx.batch.watching._FIRST_PAUSE", 0.01)
        watching = Watching(
            options, [str(photos)], output, Log("json"), stop, settle=0.01,
            at_start=lambda: None, before_publishing=lambda: None, on_published=on_published,
        )  # fmt: skip
        assert watching.run(classify, RawFiles())
    first, second = ((photos / name).as_uri() for name in ("1.png", "2.png"))
    assert loads == [[first], [first], [first], [second]]
    assert published == [1, 1]
