"""``flowers similar`` as people and programs use it: what it finds, and what an index outlives."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models import constant_model, field
from PIL import Image, ImageEnhance
from support import FLOWERS, PATIENCE, Run, job, posix, wait_until

from flowers_onnx import Classifier, UsageError
from flowers_onnx.onnx_file import find_model
from flowers_onnx.similar import Index

#: Drawn pictures, which look like nothing else.
DRAWN = 4


def draw(path: Path, seed: int, size: int = 96) -> None:
    chance = random.Random(seed)
    small = Image.frombytes("RGB", (6, 6), chance.randbytes(6 * 6 * 3))
    small.resize((size, size)).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A folder ``album`` and its index, not where they were made; nobody changes them."""
    folder = tmp_path_factory.mktemp("made") / "there"
    folder.mkdir()
    album = folder / "album"
    album.mkdir()
    with Image.open(sample) as photo:
        photo.resize((200, 200)).save(album / "small.jpg", quality=90)
        ImageEnhance.Brightness(photo).enhance(1.1).save(album / "brighter.jpg", quality=90)
    shutil.copy(sample, album / "dahlia.jpg")
    shutil.copy(sample, album / "again.jpg")
    for number in range(DRAWN):
        draw(album / f"drawn{number}.png", number)
    done = subprocess.run(
        [FLOWERS, "similar", "--index", "photos.index", "--add", "album"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"flowers: photos.index: 8 new, 8 total\n"
    assert sorted(os.listdir(folder)) == ["album", "photos.index"]
    return folder.rename(folder.parent / "made")


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """A copy of both."""
    return Path(shutil.copytree(made, tmp_path / "here", symlinks=True))


def found(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(record: dict[str, Any]) -> list[str]:
    return [os.path.basename(one["path"]) for one in record["similar"]]


def test_what_is_most_alike_comes_first_and_copies_are_told(made: Path, flowers: Run) -> None:
    query = ("album/dahlia.jpg", "--index", "photos.index", "--top_k", "4")
    done = flowers("similar", *query, cwd=made)
    assert (done.returncode, done.stderr) == (0, b"")
    asked, *lines = done.stdout.decode().splitlines()
    assert asked.startswith("album/dahlia.jpg  pink-yellow dahlia (Dahlia spp.)  99.")
    assert asked.endswith("%  (in the index)")
    assert lines[0] == "  100.0 %  album/again.jpg  pink-yellow dahlia  (copy)"
    for line in lines[1:3]:
        assert line.endswith("pink-yellow dahlia  (near-duplicate)")
    assert "drawn" in lines[3]
    assert lines[3].endswith("  not known")

    (record,) = found(flowers("similar", *query, "--format", "jsonl", cwd=made))
    assert record["status"] == "ok"
    assert record["in_index"] is True
    assert "album/dahlia.jpg" not in names(record)
    first, second, third, fourth = record["similar"]
    sha256 = hashlib.sha256((made / "album" / "again.jpg").read_bytes()).hexdigest()
    assert first == {
        "path": str(made / "album" / "again.jpg"),
        "uri": (made / "album" / "again.jpg").as_uri(),
        "likeness": 1.0,
        "mark": "copy",
        "gone": False,
        "label": "pink-yellow dahlia",
        "class_id": 60,
        "scientific_name": "Dahlia spp.",
        "confidence": record["confidence"],
        "known": True,
        "sha256": sha256,
        "width": 280,
        "height": 280,
    }
    assert {names(record)[1], names(record)[2]} == {"small.jpg", "brighter.jpg"}
    assert (second["mark"], third["mark"], fourth["mark"]) == ("near-duplicate",) * 2 + (None,)
    assert 1 > second["likeness"] >= third["likeness"] > 0.97 > fourth["likeness"]


def test_all_formats_say_the_same(made: Path, flowers: Run, sample: Path) -> None:
    words = ("similar", sample, "none.jpg", "album/drawn0.png", "--index", "photos.index")
    more = ("--lang", "es", "--top_k", "2")
    lines = flowers(*words, *more, "--format", "jsonl", cwd=made)
    assert lines.returncode == 1
    records = found(lines)
    assert [record["status"] for record in records] == ["ok", "error", "ok"]
    assert [len(record.get("similar", ())) for record in records] == [2, 0, 2]
    assert {one["label"] for one in records[0]["similar"]} == {"dalia"}
    assert records[0]["in_index"] is False
    done = flowers(*words, *more, "--format", "json", cwd=made)
    assert (done.returncode, json.loads(done.stdout)) == (1, records)
    done = flowers(*words, *more, "--out", str(made.parent / "found.csv"), cwd=made)
    assert (done.returncode, done.stdout) == (1, b"")
    rows = list(csv.DictReader(io.StringIO((made.parent / "found.csv").read_text())))
    assert [(row["path"], row["rank"], row["similar_path"]) for row in rows] == [
        *((str(sample), str(rank + 1), records[0]["similar"][rank]["path"]) for rank in (0, 1)),
        ("none.jpg", "", ""),
        *(
            ("album/drawn0.png", str(rank + 1), records[2]["similar"][rank]["path"])
            for rank in (0, 1)
        ),
    ]
    assert (rows[2]["status"], rows[2]["error_code"]) == ("error", "not_found")


def test_words_are_those_of_classify(made: Path, flowers: Run, sample: Path) -> None:
    done = flowers(
        *(
            "similar",
            "-",
            "album/drawn*.png",
            "album",
            "--index",
            "photos.index",
            "--format",
            "jsonl",
        ),
        stdin=sample.read_bytes(),
        cwd=made,
    )
    assert done.returncode == 0
    records = found(done)
    assert [record["path"] for record in records] == [
        "-",
        *(f"album/drawn{number}.png" for number in range(DRAWN)),
        *(f"album/{name}" for name in sorted(os.listdir(made / "album"))),
    ]
    assert [one["mark"] for one in records[0]["similar"][:2]] == ["copy", "copy"]


def test_only_what_is_new_or_changed_is_done(here: Path, flowers: Run, sample: Path) -> None:
    add = ("similar", "--index", "photos.index", "--add", "album")
    before = (here / "photos.index").read_bytes()
    done = flowers(*add, "album", "album/../album", cwd=here)
    assert (done.returncode, done.stderr) == (0, b"flowers: photos.index: 8 unchanged, 8 total\n")
    assert (here / "photos.index").read_bytes() == before
    draw(here / "album" / "drawn0.png", 100, size=100)  # changed
    draw(here / "album" / "new.png", 101)
    (here / "album" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    os.utime(here / "album" / "small.jpg", (1, 1))  # touched
    (here / "album" / "sub").mkdir()
    (here / "album" / "brighter.jpg").rename(here / "album" / "sub" / "moved.jpg")
    (here / "album" / "drawn3.png").unlink()
    done = flowers(*add, cwd=here)
    assert done.returncode == 1
    failed, told = done.stderr.decode().splitlines()
    assert failed.startswith("album/broken.jpg: ")
    assert told == (
        "flowers: photos.index: 1 new, 1 changed, 1 moved, 5 unchanged, 1 failed, 9 total"
    )
    done = flowers(*add, cwd=here)
    assert done.stderr.splitlines()[-1] == (
        b"flowers: photos.index: 8 unchanged, 1 failed, 9 total"
    )
    query = ("similar", sample, "--index", "photos.index", "--format", "jsonl", "--top_k", "99")
    (record,) = found(flowers(*query, cwd=here))
    assert sorted(zip(names(record), (one["gone"] for one in record["similar"]), strict=True)) == [
        ("again.jpg", False),
        ("dahlia.jpg", False),
        ("drawn0.png", False),
        ("drawn1.png", False),
        ("drawn2.png", False),
        ("drawn3.png", True),  # it stays: a disk may be away for a day
        ("moved.jpg", False),
        ("new.png", False),
        ("small.jpg", False),
    ]
    (by_size,) = [one for one in record["similar"] if one["path"].endswith("drawn0.png")]
    assert by_size["width"] == 100


def test_a_copy_over_another_photo_is_a_change(here: Path, flowers: Run, sample: Path) -> None:
    add = ("similar", "--index", "photos.index", "--add", "album")
    shutil.copy(here / "album" / "drawn1.png", here / "album" / "drawn0.png")
    (here / "album" / "drawn2.png").replace(here / "album" / "drawn3.png")
    os.utime(here / "album" / "drawn3.png", (1, 1))
    os.utime(here / "album" / "small.jpg", (1, 1))  # this one hasn't changed
    done = flowers(*add, cwd=here)
    assert done.stderr == b"flowers: photos.index: 2 changed, 5 unchanged, 8 total\n"
    done = flowers(*add, cwd=here)
    assert done.stderr == b"flowers: photos.index: 7 unchanged, 8 total\n"
    query = ("similar", "album/drawn0.png", "--index", "photos.index", "--format", "jsonl")
    (record,) = found(flowers(*query, cwd=here))
    assert (record["similar"][0]["mark"], names(record)[0]) == ("copy", "drawn1.png")


def test_an_index_moves_with_its_photos_or_alone(here: Path, flowers: Run) -> None:
    query = ("similar", "--format", "jsonl", "--top_k", "1", "--index")

    def nearest(index: str, cwd: Path, photo: Path) -> dict[str, Any]:
        done = flowers(*query, index, photo, cwd=cwd)
        assert done.returncode == 0, done.stderr
        (record,) = found(done)
        assert record["in_index"] is True
        one: dict[str, Any] = record["similar"][0]
        return one

    one = nearest("photos.index", here, here / "album" / "dahlia.jpg")
    assert (one["path"], one["gone"]) == (str(here / "album" / "again.jpg"), False)
    # All are touched, so that the index learns where they are now; no content has changed.
    for path in (here / "album").iterdir():
        os.utime(path, (1, 1))
    done = flowers("similar", "--index", "photos.index", "--add", "album", cwd=here)
    assert done.stderr == b"flowers: photos.index: 8 unchanged, 8 total\n"
    (here / "deep" / "er").mkdir(parents=True)
    alone = (here / "photos.index").rename(here / "deep" / "er" / "x.index")
    one = nearest(str(alone), here, here / "album" / "dahlia.jpg")
    assert (one["path"], one["gone"]) == (str(here / "album" / "again.jpg"), False)
    done = flowers("similar", "--index", alone, "--add", "album", cwd=here)
    assert done.stderr == f"flowers: {alone}: 8 unchanged, 8 total\n".encode()


def test_photos_may_be_gone(here: Path, flowers: Run, sample: Path) -> None:
    shutil.rmtree(here / "album")
    done = flowers("similar", sample, "--index", "photos.index", "--top_k", "2", cwd=here)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[1:] == [
        "  100.0 %  album/again.jpg  pink-yellow dahlia  (copy, gone)",
        "  100.0 %  album/dahlia.jpg  pink-yellow dahlia  (copy, gone)",
    ]


@posix
def test_odd_names_are_everyday(flowers: Run, tmp_path: Path, sample: Path) -> None:
    odd = [b"a,b.jpg", b"-x.jpg", b"%41.jpg", b"a b'c.jpg", b"new\nline.jpg", b"1e5.jpg"]
    if sys.platform != "darwin":
        odd.append(b"caf\xe9.jpg")
    folder = os.fsencode(tmp_path)
    for name in odd:
        shutil.copy(os.fsencode(sample), os.path.join(folder, name))
    index = b"-the index,%41.\xff" if sys.platform != "darwin" else b"-the index"
    done = flowers("similar", "--index=" + os.fsdecode(index), "--add", "--", *odd)
    assert done.returncode == 0, done.stderr
    done = flowers(
        *("similar", "--top_k", "99", "--format", "jsonl", "--index=" + os.fsdecode(index)),
        *("--", odd[1], odd[-1]),
    )
    assert done.returncode == 0, done.stderr
    record, last = found(done)
    assert record["in_index"] is last["in_index"] is True
    assert {one["mark"] for one in record["similar"]} == {"copy"}
    from flowers_onnx.file_uris import path_of_file

    paths = {os.fsencode(path_of_file(one["uri"])) for one in record["similar"]}
    assert paths == {os.path.join(folder, name) for name in odd if name != b"-x.jpg"}
    text = flowers("similar", "--index=" + os.fsdecode(index), "--top_k", "99", "--", odd[1])
    assert len(text.stdout.splitlines()) == len(odd)


def test_links_to_photos_are_photos_and_folders_are_followed_once(
    flowers: Run, tmp_path: Path, sample: Path
) -> None:
    (tmp_path / "real").mkdir()
    shutil.copy(sample, tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "real.index").write_bytes(b"")
    (tmp_path / "real.index").unlink()
    (tmp_path / "named.index").symlink_to("real.index")
    done = flowers("similar", "--index", "named.index", "--add", "real", "link")
    assert (done.returncode, done.stderr) == (0, b"flowers: named.index: 2 new, 2 total\n")
    assert (tmp_path / "named.index").is_symlink()
    assert (tmp_path / "real.index").is_file()
    done = flowers("similar", "link/a.jpg", "--index", "real.index")
    assert done.stdout.decode().splitlines()[1:] == [
        "  100.0 %  real/b.jpg  pink-yellow dahlia  (copy)"
    ]


def album_of(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        draw(folder / f"{number:03}.png", number, size=64)
    return folder


def begin(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [FLOWERS, "similar", "--index", "i", "--add", "album", *words],
        cwd=folder,
        stderr=subprocess.PIPE,
    )


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> bytes:
    process.send_signal(number)
    assert process.stderr is not None
    with process:
        return process.stderr.read()


ENDED = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}


@posix
def test_a_kill_loses_nothing_that_was_done(flowers: Run, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        album_of(folder / "album", 40)
    assert flowers("similar", "--index", "i", "--add", "album", cwd=whole).returncode == 0
    journal = killed / "i.journal"
    kept, waiting = 2, [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]  # header and model
    while waiting:
        process = begin(killed, "--threads", "1")
        wait_until(lambda: lines_of(journal) > kept + 3 or process.poll() is not None)  # noqa: B023
        told = end(process, waiting[-1])
        if process.returncode == 0:  # it was faster than this test: all of it again
            (killed / "i").unlink()
            kept, waiting = 2, [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
            continue
        number = waiting.pop()
        assert process.returncode == ENDED[number]
        assert not (killed / "i").exists()
        if number != signal.SIGKILL:
            assert f"what is done is kept in {journal}; the same command goes on" in told.decode()
        assert lines_of(journal) > kept + 3
        kept = lines_of(journal)
    for words in (["album/000.png"], ["album/000.png", "--format", "csv"]):
        done = flowers("similar", *words, "--index", "i", cwd=killed)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode() == (
            f"flowers: there is no index i yet, but {journal} has photos for it: "
            "flowers similar --index i --add FOLDER goes on where it stopped\n"
        )
    # What is done isn't looked at again: it couldn't be.
    rows = [json.loads(line) for line in journal.read_bytes().splitlines()[2:kept]]
    done_already = [row["row"]["place"] for row in rows]
    for place in done_already:
        path = killed / place
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = flowers("similar", "--index", "i", "--add", "album", cwd=killed)
    assert done.returncode == 0, done.stderr
    assert os.listdir(killed / "album") == os.listdir(whole / "album")
    assert sorted(os.listdir(killed)) == ["album", "i"]
    assert f"{40 - len(done_already)} new, {len(done_already)} unchanged" in done.stderr.decode()
    assert facts_of(killed / "i") == facts_of(whole / "i")


def facts_of(index: Path) -> list[tuple[Any, ...]]:
    """All that doesn't depend on when and where the photos were made."""
    from flowers_onnx.index.file import read

    tables = read(str(index))
    rows = [tables.row(number) for number in range(len(tables.rows))]
    return [
        (row.place, row.sha256, row.class_id, row.confidence, tables.features[number].tobytes())
        for number, row in enumerate(rows)
    ]


@posix
def test_killed_at_any_moment_the_old_index_is_whole(here: Path, flowers: Run) -> None:
    for number in range(10, 22):
        draw(here / "album" / f"drawn{number}.png", number, size=64)
    chance = random.Random(0)
    shutil.move(here / "photos.index", here / "i")
    for _ in range(3):
        process = begin(here)
        with process:
            try:
                process.wait(chance.uniform(0.3, 0.9))
            except subprocess.TimeoutExpired:
                process.kill()
        done = flowers("similar", "album/dahlia.jpg", "--index", "i", "--top_k", "1", cwd=here)
        assert done.returncode == 0, done.stderr
        assert b"album/again.jpg" in done.stdout
    assert flowers("similar", "--index", "i", "--add", "album", cwd=here).returncode == 0
    assert sorted(os.listdir(here)) == ["album", "i"]
    facts = facts_of(here / "i")
    assert len({place for place, *_ in facts}) == len(facts) == 20


@posix
def test_a_second_writer_is_refused_and_readers_arent(here: Path, flowers: Run) -> None:
    import fcntl

    draw(here / "album" / "new.png", 7)
    with open(here / "photos.index.journal", "wb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        done = flowers("similar", "--index", "photos.index", "--add", "album", cwd=here)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr == (
            f"flowers: {here}/photos.index.journal: another run is at work on it\n".encode()
        )
        done = flowers("similar", "album/dahlia.jpg", "--index", "photos.index", cwd=here)
        assert done.returncode == 0
        assert b"aren't in it yet: flowers similar --add goes on" in done.stderr
    done = flowers("similar", "--index", "photos.index", "--add", "album", cwd=here)
    assert done.stderr == b"flowers: photos.index: 1 new, 8 unchanged, 9 total\n"


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda data: data[:-1], "has "),
    "text": (lambda data: data.replace(b"Dahlia", b"dahlia"), "is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_no_whole_index_is_refused_and_stays(kind: str, here: Path, flowers: Run) -> None:
    harm, reason = DAMAGE[kind]
    path = here / "photos.index"
    path.write_bytes(harm(path.read_bytes()))
    before = path.read_bytes()
    draw(here / "album" / "new.png", 8)
    for words in (["album/dahlia.jpg"], ["--add", "album"]):
        done = flowers("similar", *words, "--index", "photos.index", cwd=here)
        assert (done.returncode, done.stdout) == (2, b""), done
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"flowers: photos.index {reason}")
        assert "make another with flowers similar --index NEW --add FOLDER" in line
        assert path.read_bytes() == before
    assert sorted(os.listdir(here)) == ["album", "photos.index"]


#: A property more, and a word more in the graph: a message that is given twice is merged.
MORE = field(14, field(1, b"a") + field(2, b"b"))
OTHER_GRAPH = field(7, field(10, b"other"))


def test_an_index_is_of_one_network(here: Path, flowers: Run) -> None:
    other = here.parent / "other.onnx"
    content = Path(find_model()).read_bytes()
    other.write_bytes(content + OTHER_GRAPH)
    before = (here / "photos.index").read_bytes()
    draw(here / "album" / "new.png", 8)
    uses = (
        ["similar", "album/dahlia.jpg", "--format", "jsonl"],
        ["compare", "rose", "barbeton daisy", "--format", "json"],
        ["similar", "--add", "album"],
    )
    index = ("--index", "photos.index", "--model", other)
    for words in uses:
        done = flowers(*words, *index, cwd=here)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr == (
            b"flowers: photos.index is of another model flowers-lite0/1.1-int8, with another "
            b"network, preprocessing or classes: make another with flowers similar --index NEW "
            b"--add FOLDER\n"
        )
    assert (here / "photos.index").read_bytes() == before
    assert sorted(os.listdir(here)) == ["album", "photos.index"]
    # Whatever else is in its file.
    other.write_bytes(content.replace(b"1.1-int8", b"9.9-int8") + MORE)
    for words in uses:
        done = flowers(*words, *index, cwd=here)
        assert done.returncode == 0, done.stderr
    assert done.stderr == b"flowers: photos.index: 1 new, 8 unchanged, 9 total\n"
    assert flowers("similar", "--index", "photos.index", "--add", "album", cwd=here).stderr == (
        b"flowers: photos.index: 9 unchanged, 9 total\n"
    )


@posix
def test_an_unfinished_run_is_of_one_model(flowers: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    content = Path(find_model()).read_bytes()
    other.write_bytes(content + OTHER_GRAPH)
    album_of(tmp_path / "album", 20)
    killed = False
    while not killed:
        (tmp_path / "i").unlink(missing_ok=True)
        process = begin(tmp_path, "--threads", "1")
        wait_until(lambda: lines_of(tmp_path / "i.journal") > 2 or process.poll() is not None)  # noqa: B023
        end(process, signal.SIGKILL)
        killed = process.returncode == -signal.SIGKILL
    before = (tmp_path / "i.journal").read_bytes()
    done = flowers("similar", "--index", "i", "--add", "album", "--model", other)
    assert done.returncode == 2
    assert b"has photos by another model, flowers-lite0/1.1-int8" in done.stderr
    assert (tmp_path / "i.journal").read_bytes().startswith(before.rpartition(b"\n")[0])
    # A photo that has changed since then is done again, and is in the index once.
    draw(tmp_path / "album" / "000.png", 0, size=70)
    other.write_bytes(content.replace(b"1.1-int8", b"9.9-int8") + MORE)
    done = flowers("similar", "--index", "i", "--add", "album", "--model", other)
    assert done.returncode == 0
    assert b" 1 changed, " in done.stderr
    index = Index.open(tmp_path / "i")
    assert len(index) == 20
    changed = index.find(tmp_path / "album" / "000.png")
    assert changed is not None
    assert changed.width == 70
    # Nor is a broken one taken for photos.
    draw(tmp_path / "album" / "new.png", 99)
    (tmp_path / "i.journal").write_bytes(
        before.splitlines(keepends=True)[0] + b'{"row": {}, "features": "AAAA", "replaces": null}\n'
    )
    done = flowers("similar", "--index", "i", "--add", "album")
    assert (done.returncode, b"i.journal is damaged: remove it" in done.stderr) == (2, True)
    (tmp_path / "i.journal").write_bytes(b"somebody's notes\n")
    done = flowers("similar", "--index", "i", "--add", "album")
    assert (done.returncode, b"is not a journal" in done.stderr) == (2, True)
    assert (tmp_path / "i.journal").read_bytes() == b"somebody's notes\n"


@posix
def test_a_full_disk_costs_nothing_that_was_done(here: Path, flowers: Run) -> None:
    import resource

    before = (here / "photos.index").read_bytes()
    for number in range(10, 40):
        draw(here / "album" / f"drawn{number}.png", number, size=64)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    # Within the journal, and then, with all of it there, within the index.
    for size in (20_000, 70_000):
        done = subprocess.run(
            [FLOWERS, "similar", "--index", "photos.index", "--add", "album"],
            cwd=here,
            preexec_fn=functools.partial(
                resource.setrlimit, resource.RLIMIT_FSIZE, (size, no_limit)
            ),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 4, done.stderr
        kept, told = done.stderr.decode().splitlines()[-2:]
        assert kept.endswith("photos.index.journal; the same command goes on")
        assert told.startswith("flowers: can't write to ")
        assert (here / "photos.index").read_bytes() == before
        assert sorted(os.listdir(here)) == ["album", "photos.index", "photos.index.journal"]
    done = flowers("similar", "--index", "photos.index", "--add", "album", cwd=here)
    assert done.stderr.endswith(b"38 total\n")


def test_where_nothing_can_be_written_searching_goes_on(here: Path, flowers: Run) -> None:
    done = flowers("similar", "--index", "none/photos.index", "--add", "album", cwd=here)
    assert (done.returncode, b"can't write to" in done.stderr) == (4, True)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return
    here.chmod(0o500)
    try:
        done = flowers("similar", "album/dahlia.jpg", "--index", "photos.index", cwd=here)
        assert done.returncode == 0
    finally:
        here.chmod(0o700)


def test_without_photos_there_is_no_index(flowers: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = flowers("similar", "--index", "i", "--add", "empty", "none")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "empty: no images in this folder (no_images)",
        "none: no such file or folder (not_found)",
        "flowers: i: 2 failed",
    ]
    assert os.listdir(tmp_path) == ["empty"]
    done = flowers("similar", "a.jpg", "--index", "i")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == (
        b"flowers: there is no index i: make it with flowers similar --index i --add FOLDER\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.jpg"], "similar needs --index"),
        (["--index", "i"], "similar needs a PHOTO, or with --add a FOLDER"),
        (["--index", "i", "--add"], "similar needs a PHOTO, or with --add a FOLDER"),
        (["--index", "i", "--add", "-"], "not standard input"),
        (["--index", "i", "--add", "a", "--top_k", "3"], "no --top_k, --format or --out"),
        (["--index", "i", "--add", "a", "--out", "o"], "no --top_k, --format or --out"),
        (["-", "-", "--index", "i"], "only once"),
        (["a.jpg", "--index", "i", "--out", "./i"], "would overwrite the index"),
        (["a.jpg", "--index", "gs://b/i"], "needs a file on this machine"),
        (["a.jpg", "--index", "i", "--top_k", "0"], "at least 1"),
    ],
)
def test_words_that_make_no_sense(words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        job("similar", *words)


def test_a_model_without_features_is_told(flowers: Run, tmp_path: Path, sample: Path) -> None:
    classes = len(Classifier().info.labels)
    model = constant_model(tmp_path / "m.onnx", [1 / classes] * classes, [1, classes])
    done = flowers("similar", "--index", "i", "--add", sample, "--model", model)
    assert (done.returncode, b"needs the output 'features'" in done.stderr) == (3, True)
    assert os.listdir(tmp_path) == ["m.onnx"]


def test_a_folder_is_no_index(flowers: Run, tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    for words in (["a.jpg"], ["--add", "a.jpg"]):
        done = flowers("similar", *words, "--index", "i")
        assert (done.returncode, done.stdout) == (2, b"")
        assert os.listdir(tmp_path) == ["i"]


def test_it_waits_for_nobody_and_takes_only_files(flowers: Run, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe.jpg")
    started = time.monotonic()
    done = flowers("similar", "--index", "i", "--add", "pipe.jpg", ".")
    assert done.returncode == 1
    assert b"pipe.jpg: not a regular file (not_a_file)" in done.stderr
    assert time.monotonic() - started < PATIENCE
    assert os.listdir(tmp_path) == ["pipe.jpg"]
