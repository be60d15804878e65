"""``flowers batch`` from a folder: what is done, what is kept, how a killed run goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import FLOWERS, PATIENCE, Run, noise_pictures, posix, result_sink, wait_until

from flowers_onnx.batch.tally import pace

#: The pictures of these tests are noise, of which the model's own rule knows nothing.
NAMED = ("--min_confidence", "0")
FILE_SINKS = ("jsonl", "csv", "parquet", "sqlite")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, one of them broken, one of an odd name."""
    folder = tmp_path_factory.mktemp("album")
    noise_pictures(folder, 38, seed=7)
    shutil.copy(folder / "37.png", folder / "a b%20#?ñ,'.png")
    return folder


def rows_of(result: Path) -> list[dict[str, Any]]:
    return [{**row} for row in result_sink(result).existing()]


def names_of(result: Path) -> Counter[str]:
    return Counter(row["source_uri"] for row in rows_of(result))


def uris(folder: Path) -> Counter[str]:
    return Counter(path.as_uri() for path in folder.iterdir())


@pytest.mark.parametrize("kind", FILE_SINKS)
def test_a_folder_becomes_rows(flowers: Run, album: Path, tmp_path: Path, kind: str) -> None:
    result = tmp_path / f"result.{kind}"
    done = flowers("batch", album, "--out", result, *NAMED)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"39 named, 1 failed (corrupt 1)" in done.stderr
    rows = rows_of(result)
    assert Counter(row["source_uri"] for row in rows) == uris(album)
    assert Counter(row["status"] for row in rows) == {"ok": 39, "error": 1}
    expected = flowers("classify", album, "--format", "jsonl", *NAMED).stdout.splitlines()
    records = {record["sha256"]: record for record in map(json.loads, expected)}
    for row in rows:
        record = records[row["sha256"]]
        assert {**record, "path": row["path"]} == {name: row[name] for name in record}
        assert row["path"] == row["source_uri"]
        assert row["size"] == os.stat(Path(record["path"])).st_size
        assert row["source_version"]
    assert len({row["run_id"] for row in rows}) == 1
    assert sorted(os.listdir(tmp_path)) == [result.name, f"{result.name}.run.json"]


def test_the_provenance_record(flowers: Run, album: Path, tmp_path: Path) -> None:
    flowers("batch", album, "--out", "r.jsonl", "--lang", "es", *NAMED)
    record = json.loads((tmp_path / "r.jsonl.run.json").read_text())
    rows = rows_of(tmp_path / "r.jsonl")
    assert record["run_id"] == rows[0]["run_id"]
    assert record["counts"]["images"] == len(rows)
    assert sum(record["labels"].values()) == record["counts"]["ok"] == 39
    assert sum(record["errors"].values()) == record["counts"]["error"] == 1
    assert record["arguments"]["lang"] == "es"
    assert record["arguments"]["sources"] == [str(album)]
    assert len(record["model"]["sha256"]) == 64
    assert record["started_at"] < record["ended_at"]


def test_a_log_for_machines(flowers: Run, album: Path) -> None:
    done = flowers("batch", album, "--out", "r.csv", "--log_format", "json")
    failed, line = map(json.loads, done.stderr.splitlines())
    assert (failed["severity"], failed["code"]) == ("WARNING", "corrupt")
    assert failed["uri"] == (album / "broken.jpg").as_uri()
    assert str(album / "broken.jpg") in failed["message"]
    assert line["severity"] == "INFO"
    assert line["counts"]["images"] == 40
    assert line["errors"] == {"corrupt": 1}
    wrong = flowers("batch", "none", "--out", "r.csv", "--log_format", "json")
    assert wrong.returncode == 2
    (line,) = map(json.loads, wrong.stderr.splitlines())
    assert (line["severity"], line["message"]) == ("ERROR", "none: no such file or folder")


def test_what_is_done_is_not_done_again(flowers: Run, album: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(album.glob("0*.png"))[:4]:
        (folder / path.name).write_bytes(path.read_bytes())
    assert flowers("batch", folder, "--out", "r.jsonl").returncode == 0
    before = (tmp_path / "r.jsonl").read_bytes()
    stamp = os.stat(tmp_path / "r.jsonl").st_mtime_ns
    again = flowers("batch", folder, "--out", "r.jsonl")
    assert again.returncode == 0
    said = "nothing to do: 4 images were done before and are in r.jsonl; another --out does them"
    assert again.stderr.decode() == f"flowers: {said} again\n"
    assert os.stat(tmp_path / "r.jsonl").st_mtime_ns == stamp
    # A new photo and a changed one: one row more for each, the old rows as they were.
    (folder / "new.png").write_bytes((album / "11.png").read_bytes())
    (folder / "00.png").write_bytes((album / "12.png").read_bytes())
    assert flowers("batch", folder, "--out", "r.jsonl").returncode == 0
    after = (tmp_path / "r.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after.splitlines()) == 6


def test_the_first_failures_are_named(flowers: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(8):
        (photos / f"b {number}é.jpg").write_bytes(b"\xff\xd8\xff broken")
    done = flowers("batch", "photos", "--out", "r.parquet", "--threads", "1", "--fetch", "1")
    assert done.returncode == 1
    *named, more, summary = done.stderr.decode().splitlines()
    assert len(named) == 5
    for line in named:
        assert re.fullmatch(rf"flowers: failed: {re.escape(str(photos))}/b \dé\.jpg: .+", line)
    assert more == "flowers: failed: 3 more; all are in r.parquet, where status is error"
    assert summary.startswith("flowers: 0 named, 8 failed (")
    again = flowers("batch", "photos", "--out", "s.csv", "--max_errors", "6", "--threads", "1")
    assert again.returncode == 5
    lines = again.stderr.decode().splitlines()
    assert sum(f"flowers: failed: {photos}" in line for line in lines) == 5
    assert any("more; all are in s.csv.journal, where" in line for line in lines)


def test_the_summary_counts_what_was_done_before_once(flowers: Run, tmp_path: Path) -> None:
    """An unfinished run's images are this result's; those of the result before are not."""
    photos = tmp_path / "photos"
    photos.mkdir()
    noise_pictures(photos, 3, seed=1)
    command = ("batch", "photos", "photos", "--out", "r.csv", *NAMED)
    stopped = flowers(*command, "--max_errors", "0", "--threads", "1", "--fetch", "1")
    assert stopped.returncode == 5
    first = flowers(*command)
    assert first.returncode == 1
    assert b"continues an unfinished run" in first.stderr
    summary = first.stderr.splitlines()[-1].decode()
    assert re.match(r"flowers: 3 named, 1 failed \(corrupt 1\); \d", summary)
    assert not re.search(r"\b0 (images )?a second", summary)
    shutil.copy(photos / "00.png", photos / "new.png")
    second = flowers(*command).stderr.decode()
    assert re.match(r"flowers: 1 named, 0 failed; done before: 4; \d", second)
    counts = json.loads((tmp_path / "r.csv.run.json").read_text())["counts"]
    assert counts == {
        "images": 1, "ok": 1, "not_known": 0, "error": 0,
        "of_an_earlier_run": 0, "skipped_as_done": 4,
    }  # fmt: skip
    third = flowers(*command).stderr.decode()
    assert third.startswith("flowers: nothing to do: 5 images were done before and are in r.csv;")


@pytest.mark.parametrize(
    ("images", "seconds", "text"),
    [
        (0, 3, ""),
        (5, 0, ""),
        (1, 40, "40.0 s each"),
        (40, 28, "1.4 a second"),
        (10, 2, "5 a second"),
        (6100, 61, "100 a second"),
        (600_000, 200, "3,000 a second"),
    ],
)
def test_a_pace_is_never_zero(images: int, seconds: float, text: str) -> None:
    assert pace(images, seconds) == text


def test_retry_errors(flowers: Run, album: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes((album / "00.png").read_bytes())
    (folder / "list.txt").write_text(f"{folder}/a.png\n{folder}/b.png\n")
    command = ("batch", "--from", folder / "list.txt", "--out", "r.csv")
    assert flowers(*command).returncode == 1
    (folder / "b.png").write_bytes((album / "01.png").read_bytes())
    assert flowers(*command).returncode == 0
    assert sorted(row["status"] for row in rows_of(tmp_path / "r.csv")) == ["error", "ok"]
    assert flowers(*command, "--retry_errors").returncode == 0
    assert [row["status"] for row in rows_of(tmp_path / "r.csv")] == ["ok", "ok"]


def test_max_errors_stops_and_the_rest_follows(flowers: Run, tmp_path: Path, album: Path) -> None:
    names = [f"missing-{number}.png" for number in range(40)]
    (tmp_path / "list.txt").write_text("\n".join([str(album / "00.png"), *names]))
    command = ("batch", "--from", "list.txt", "--out", "r.jsonl")
    done = flowers(*command, "--max_errors", "3")
    assert done.returncode == 5
    assert b"more than 3 images failed" in done.stderr
    assert b"the same command goes on from there" in done.stderr
    assert not (tmp_path / "r.jsonl").exists()
    assert flowers(*command).returncode == 1
    assert len(rows_of(tmp_path / "r.jsonl")) == 41
    assert not (tmp_path / "r.jsonl.journal").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "{0}/00.png\n\n{0}/01.png\r\n{0}/none.png"),
        ("list.csv", "id,note,path\n1,x,{0}/00.png\nb,,{0}/01.png\n,z,{0}/none.png\n"),
        (
            "list.jsonl",
            """{{"id": 1, "uri": "{0}/00.png"}}
            {{"id": "b", "path": "{0}/01.png"}}
            {{"path": "{0}/none.png"}}""",
        ),
    ],
)
def test_lists_of_images(flowers: Run, album: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text.format(album))
    assert flowers("batch", "--from", name, "--out", "r.sqlite").returncode == 1
    rows = {row["source_uri"].rpartition("/")[2]: row for row in rows_of(tmp_path / "r.sqlite")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "00.png": "ok",
        "01.png": "ok",
        "none.png": "error",
    }
    assert rows["none.png"]["error"]["code"] == "not_found"
    if name != "list.txt":
        assert [rows[name]["source_id"] for name in sorted(rows)] == ["1", "b", None]


def test_a_list_from_a_pipe_and_a_result_by_uri(flowers: Run, album: Path, tmp_path: Path) -> None:
    names = "\n".join(str(path) for path in sorted(album.glob("0*.png")))
    result = f"file://{tmp_path}/r%20.jsonl"
    done = flowers("batch", "--from", "-", "--out", result, *NAMED, stdin=names.encode())
    assert (done.returncode, done.stderr[:24]) == (0, b"flowers: 10 named, 0 fai")
    assert len(rows_of(tmp_path / "r .jsonl")) == 10


def test_a_run_that_was_killed_while_it_published(
    flowers: Run, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{album}/00.png\n{album}/broken.jpg\n")
    command = ("batch", "--from", "list.txt", "--out", "r.csv", *NAMED)
    assert flowers(*command, "--max_errors", "0").returncode == 5
    journal = tmp_path / "r.csv.journal"
    with open(journal, "ab") as file:  # as a run leaves it that has the rows and not the result
        file.write(b'{"complete": true}\n')
    done = flowers(*command)
    assert done.returncode == 1
    assert b"1 named, 1 failed (corrupt 1)" in done.stderr
    assert json.loads((tmp_path / "r.csv.run.json").read_text())["counts"]["images"] == 2
    assert len(rows_of(tmp_path / "r.csv")) == 2


def test_an_outage_is_no_result(flowers: Run, tmp_path: Path) -> None:
    loops = tmp_path / "loops"
    loops.mkdir()
    for number in range(150):
        os.symlink(f"{number}.jpg", loops / f"{number}.jpg")  # to read it is an error of the system
    done = flowers("batch", loops, "--out", "r.jsonl")
    assert done.returncode == 4
    assert b"100 images in a row can't be read" in done.stderr
    assert not (tmp_path / "r.jsonl").exists()


def test_four_shards_cover_a_folder(flowers: Run, album: Path, tmp_path: Path) -> None:
    for index in range(4):
        if index % 2:
            flowers("batch", album, "--out", "r.parquet", "--shard", f"{index}/4")
        else:
            environment = {"CLOUD_RUN_TASK_INDEX": str(index), "CLOUD_RUN_TASK_COUNT": "4"}
            flowers("batch", album, "--out", "r.parquet", env=environment)
    parts = sorted(tmp_path.glob("r-0000?-of-00004.parquet"))
    assert len(parts) == 4
    found = [names_of(part) for part in parts]
    assert all(found)
    assert sum(found, Counter()) == uris(album)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["batch"], b"needs a SOURCE"),
        (["batch", "ALBUM"], b"needs --out"),
        (["batch", "ALBUM", "--out", "result.xlsx"], b".parquet"),
        (["batch", "ALBUM", "--out", "r.csv", "--shard", "4/4"], b"--shard needs"),
        (["batch", "ALBUM", "--out", "r.csv", "--retry_errors=no"], b"takes no value"),
        (["batch", "EMPTY", "--out", "r.csv"], b"no images in"),
        (["batch", "--from", "none.txt", "--out", "r.csv"], b"can't read none.txt"),
        (["batch", "--from", "bad.csv", "--out", "r.csv"], b"needs a column path"),
        (["batch", "ALBUM", "--out", "foreign.csv"], b"foreign.csv"),
        (["batch", "ALBUM", "--out", "r.csv", "--journal", "foreign.csv"], b"not a journal"),
        (["batch", "ALBUM", "--out", "r.csv", "--journal", "old"], b"schema 0.9"),
        (["batch", "ALBUM", "--out", "r.csv", "--journal", "r.csv"], b"two places"),
        (["batch", "ALBUM", "--out", "r.csv", "--journal", "/dev/null"], b"not a file"),
        (["batch", "ALBUM", "EMPTY", "--out", "r.csv"], b"no images in"),
        (["batch", "--from", "scheme.txt", "--out", "r.csv"], b"image 2: ftp://"),
        (["batch", "--from", "latin1.csv", "--out", "r.csv"], b"latin1.csv, line 2: not UTF-8"),
        (["batch", "--from", "holes.csv", "--out", "r.csv"], b"row 1: no path"),
    ],
)
def test_wrong_usage(
    flowers: Run, album: Path, tmp_path: Path, words: list[str], reason: bytes
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "scheme.txt").write_text("a.jpg\nftp://b/c.jpg\n")
    (tmp_path / "latin1.csv").write_bytes("id,path\nñ,a.jpg\n".encode("latin-1"))
    (tmp_path / "holes.csv").write_text("id,path\n1,\n")
    (tmp_path / "foreign.csv").write_text("a,b\n1,2\n")
    (tmp_path / "old").write_text('{"journal": 1, "schema": "0.9"}\n')
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    places = {"ALBUM": str(album), "EMPTY": str(tmp_path / "empty")}
    done = flowers(*(places.get(word, word) for word in words))
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before


def test_a_result_that_cannot_be_written(flowers: Run, album: Path) -> None:
    done = flowers("batch", album, "--out", "/proc/none/r.jsonl")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1


def long_list(album: Path, folder: Path, count: int) -> Counter[str]:
    """A manifest of ``count`` images, the same few pictures under different ids; its ids."""
    pictures = sorted(album.iterdir())
    lines = [f"{number},{pictures[number % len(pictures)]}\n" for number in range(count)]
    quoted = [line.replace(",/", ',"/').replace("\n", '"\n') for line in lines]
    (folder / "list.csv").write_text("id,path\n" + "".join(quoted))
    return Counter(map(str, range(count)))


def start(folder: Path, result: str) -> subprocess.Popen[bytes]:
    command = [str(FLOWERS), "batch", "--from", "list.csv", "--out", result]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)


def wait_for_rows(process: subprocess.Popen[bytes], journal: Path, count: int) -> None:
    def has_rows() -> bool:
        return journal.exists() and journal.read_bytes().count(b"\n") > count

    wait_until(lambda: has_rows() or process.poll() is not None)


@posix
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(
    album: Path, tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    long_list(album, tmp_path, 5000)
    with start(tmp_path, "r.jsonl") as process:
        wait_for_rows(process, tmp_path / "r.jsonl.journal", 3)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert b"the same command goes on from there" in errors
    assert sorted(os.listdir(tmp_path)) == ["list.csv", "r.jsonl.journal"]


def test_two_runs_at_once_are_refused(album: Path, tmp_path: Path, flowers: Run) -> None:
    long_list(album, tmp_path, 5000)
    with start(tmp_path, "r.jsonl") as process:
        wait_for_rows(process, tmp_path / "r.jsonl.journal", 0)
        second = flowers("batch", "--from", "list.csv", "--out", "r.jsonl")
        process.kill()
    assert second.returncode == 2
    assert b"another run is at work" in second.stderr


@posix
@pytest.mark.parametrize("kind", FILE_SINKS)
def test_killed_twenty_times_and_every_image_is_there_once(
    album: Path, tmp_path: Path, kind: str
) -> None:
    ids = long_list(album, tmp_path, 500)
    result = tmp_path / f"result.{kind}"
    chance = random.Random(kind)
    kills = 0
    while kills < 20:
        with start(tmp_path, result.name) as process:
            # Most kills hit the work, some the start and, towards the end, the publishing.
            try:
                process.wait(chance.uniform(0.2, 0.75))
            except subprocess.TimeoutExpired:
                process.kill()
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:  # it came to its end: do all of it again
            assert process.returncode == 1
            assert Counter(row["source_id"] for row in rows_of(result)) == ids
            result.unlink()
    with start(tmp_path, result.name) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, errors
    assert Counter(row["source_id"] for row in rows_of(result)) == ids
    assert not (tmp_path / f"{result.name}.journal").exists()


def test_what_is_done_does_not_wait_for_the_end_of_a_list(album: Path, tmp_path: Path) -> None:
    """A list that is still being written: its first images are kept meanwhile."""
    result = tmp_path / "r.jsonl"
    command = [str(FLOWERS), "batch", "--from", "-", "--out", str(result)]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(b"".join(bytes(album / f"{n:02}.png") + b"\n" for n in range(3)))
        process.stdin.flush()
        journal = tmp_path / "r.jsonl.journal"
        wait_until(lambda: journal.exists() and journal.read_bytes().count(b"source_uri") == 3)
        assert not result.exists()
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert len(rows_of(result)) == 3


def test_a_bad_place_is_told_to_a_log_too(flowers: Run, album: Path) -> None:
    done = flowers("batch", album, "--out", "r.txt", "--log_format", "json")
    assert done.returncode == 2
    assert json.loads(done.stderr)["severity"] == "ERROR"
