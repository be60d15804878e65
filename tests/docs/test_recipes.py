"""docs/recipes.md for a shell, SQL and Python: what it says to type gives what it shows."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pages import DOCS, read, section
from support import FLOWERS, PATIENCE, ROOT, SAMPLE, Run, blocks, job, needs, posix

PAGE = read(DOCS / "recipes.md")
SORT = DOCS / "recipes" / "sort_photos.sh"

pytestmark = posix
needs_jq = needs("jq")
#: File names, of which each is one photo to a program that takes care.
NAMES = [
    b"dahlia.jpg", b"sub/dahlia.jpg", b"sub/sub/dahlia.jpg", b"-x.jpg", b"--do.jpg", b"a,b.jpg",
    b"it's \"it\".jpg", b"100%41 %s.jpg", b"back\\slash\\n.jpg", b"tab\tb.jpg", b"new\nline.jpg",
    b"at its end.jpg\n", b"$HOME `x` $(x).jpg", b"*[a]?.jpg", b" .jpg", b"no extension",
    "été.jpg".encode(), b"n" * 250 + b".jpg", b"sub/" + b"n" * 250 + b".jpg",
]  # fmt: skip
if sys.platform == "linux":
    NAMES.append(b"caf\xe9.jpg")  # not UTF-8; others refuse it


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the page's commands are typed."""
    photos = tmp_path / "photos" / "2025"
    photos.mkdir(parents=True)
    shutil.copy(SAMPLE, photos.parent)
    shutil.copy(SAMPLE, photos / "it's mine.jpg")
    shutil.copy(ROOT / "model" / "curves.png", photos.parent)
    (photos.parent / "empty.jpg").touch()
    (tmp_path / "docs").symlink_to(DOCS)
    return tmp_path


def shell(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=home,
        env={**os.environ, "HOME": str(home), "PATH": f"{FLOWERS.parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def comparable(text: str) -> list[str]:
    """Lines, in any order, for photos are done in any, and without the time it took."""
    return sorted(re.sub(r"\b\d+(\.\d+)?(?= s,| a second)", "N", text).splitlines())


@needs_jq
@pytest.mark.parametrize("title", ["Photos into folders by species", "Photos that find finds"])
def test_transcripts_are_what_comes(title: str, home: Path) -> None:
    transcript = "".join(blocks(section(PAGE, title), "console"))
    typed = "\n".join(re.findall(r"^\$ (.*)$", transcript, re.MULTILINE))
    shown = re.sub(r"^\$ .*\n", "", transcript, flags=re.MULTILINE)
    came = shell(typed, home).stdout.replace(str(home), "/home/ana")
    assert comparable(came) == comparable(shown)


def sort_photos(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", SORT, *words], cwd=cwd, capture_output=True, check=False)


def links_in(folder: Path) -> list[bytes]:
    """Where each leads; there is nothing else in the folder."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(os.fsencode(path.readlink()) for path in found)


@needs_jq
def test_photos_of_any_name_are_sorted(flowers: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in NAMES:
        path = Path(os.fsdecode(os.path.join(os.fsencode(photos), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE, path)
    shutil.copy(ROOT / "model" / "curves.png", photos)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    assert flowers("batch", photos, "--out", "results.jsonl").returncode == 1
    before = sorted(os.walk(os.fsencode(photos)))

    dry = sort_photos("results.jsonl", "by", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "by").exists()
    done = sort_photos("--do", "results.jsonl", "by", cwd=tmp_path)
    # Twins of the longest name would have one that no file system takes; the others are made.
    assert (done.returncode, done.stdout) == (1, dry.stdout), done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"ame too long" in done.stderr
    made = links_in(tmp_path / "by")
    expected = {os.path.join(os.fsencode(photos), name) for name in [*NAMES, b"curves.png"]}
    longest = [link for link in made if b"nnn" in link]
    assert len(longest) == 1
    assert {*made} == {path for path in expected if b"nnn" not in path} | {*longest}
    assert len(made) == len({*made})
    assert links_in(tmp_path / "by" / "_not known") == [os.fsencode(photos / "curves.png")]
    assert sorted(os.walk(os.fsencode(photos))) == before

    again = sort_photos("--do", "results.jsonl", "by", cwd=tmp_path)
    assert links_in(tmp_path / "by") == made
    assert again.stdout.count(b"\n") == 1, "the one that couldn't be made"


@needs_jq
def test_a_photo_that_is_gone_or_in_the_way_costs_the_others_nothing(
    flowers: Run, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(SAMPLE, tmp_path / name)
    flowers("batch", "a.jpg", "b.jpg", "c.jpg", "--out", "results.jsonl")
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "-by" / "pink-yellow dahlia").mkdir(parents=True)
    taken = tmp_path / "-by" / "pink-yellow dahlia" / "b.jpg"
    taken.write_text("somebody's")
    done = sort_photos("--do", "results.jsonl", "-by", cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (1, f"gone: {tmp_path}/a.jpg\n")
    assert taken.read_text() == "somebody's"
    assert (taken.parent / "b.2.jpg").samefile(tmp_path / "b.jpg")
    assert (taken.parent / "c.jpg").samefile(tmp_path / "c.jpg")
    (tmp_path / "file").touch()
    assert sort_photos("--do", "results.jsonl", "file", cwd=tmp_path).returncode == 1


@needs_jq
@pytest.mark.parametrize("label", ["../../up", "/up", "..", ".", "", "a/b", "up\nand\tdown\\n"])
def test_a_label_is_one_folder(label: str, tmp_path: Path) -> None:
    photo = tmp_path / "in" / "photo.jpg"
    photo.parent.mkdir()
    photo.touch()
    row = {"status": "ok", "known": None, "label": label, "source_uri": photo.as_uri()}
    (tmp_path / "results.jsonl").write_text(json.dumps(row) + "\n")
    done = sort_photos("--do", "results.jsonl", "by", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (link,) = (path for path in (tmp_path / "by").glob("*/*") if path.is_symlink())
    assert link.samefile(photo)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "results.jsonl", "by"}


@needs_jq
def test_what_is_no_result_is_told(tmp_path: Path) -> None:
    assert sort_photos("results.jsonl", cwd=tmp_path).returncode == 2
    assert sort_photos("none.jsonl", "by", cwd=tmp_path).returncode != 0
    (tmp_path / "cut.jsonl").write_text('{"status": "o')
    done = sort_photos("--do", "cut.jsonl", "by", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr


@needs("flock")
def test_the_cron_line_does_new_photos_one_run_at_a_time(tmp_path: Path) -> None:
    (table,) = blocks(section(PAGE, "cron on a Raspberry Pi"), "crontab")
    *schedule, command = table.strip().split(maxsplit=5)
    assert len(schedule) == 5
    assert "%" not in command, "cron ends the line there"
    (words,) = re.findall(r"bin/flowers (.*?) >>", command)
    job(*words.split())
    (tmp_path / "flowers" / "bin").mkdir(parents=True)
    (tmp_path / "flowers" / "bin" / "flowers").symlink_to(FLOWERS)
    (tmp_path / "Pictures").mkdir()
    shutil.copy(SAMPLE, tmp_path / "Pictures")

    def hour() -> int:
        env = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(["/bin/sh", "-c", command], env=env, check=False).returncode

    log = tmp_path / "flowers.log"
    assert (hour(), hour()) == (0, 0)
    assert re.findall("1 named|nothing to do", log.read_text()) == ["1 named", "nothing to do"]
    with closing(sqlite3.connect(tmp_path / "flowers.sqlite")) as database:
        assert database.execute("SELECT label FROM results").fetchall() == [("pink-yellow dahlia",)]
    size = log.stat().st_size
    with (tmp_path / ".flowers.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert hour() == 1
    assert log.stat().st_size == size


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("duckdb")
    folder = tmp_path_factory.mktemp("results")
    (folder / "photos").mkdir()
    shutil.copy(SAMPLE, folder / "photos" / "dahlia.jpg")
    shutil.copy(SAMPLE, folder / "photos" / "b.jpg")
    shutil.copy(ROOT / "model" / "curves.png", folder / "photos")
    (folder / "photos" / "empty.jpg").touch()
    for words in (
        "results.jsonl --shard 0/2", "results.jsonl --shard 1/2", "results.parquet", "results.csv",
    ):  # fmt: skip
        subprocess.run(
            [FLOWERS, "batch", "photos", "--out", *words.split()],
            cwd=folder,
            check=False,
            stderr=subprocess.DEVNULL,
        )
    return folder


@pytest.mark.parametrize("form", ["-*.jsonl", ".parquet", ".csv"])
def test_duckdb_answers(form: str, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(results)
    text = section(PAGE, "DuckDB")
    (queries,) = blocks(text, "sql")
    assert queries.count("'results-*.jsonl'") == 4
    queries = queries.replace("'results-*.jsonl'", f"'results{form}'")
    if form == ".csv":
        (unnest,) = re.findall(r"`(UNNEST\(.*?\))`", text, re.DOTALL)
        queries = queries.replace("UNNEST(top)", unnest)
    species, days, same, candidates = queries.strip().rstrip(";").split(";")
    assert str(duckdb.sql(species)).strip() == blocks(text, "text")[0].strip()
    assert [row[1:] for row in duckdb.sql(days).fetchall()] == [(4, 1)]
    uris = [(results / "photos" / name).as_uri() for name in ("b.jpg", "dahlia.jpg")]
    assert [row[1] for row in duckdb.sql(same).fetchall()] == [uris]
    rows = duckdb.sql(candidates).fetchall()
    assert len(rows) > 5
    assert rows[0] == ("pink-yellow dahlia", pytest.approx(1.98, abs=0.05))


def test_the_program_that_is_frozen_runs(sample: Path, tmp_path: Path) -> None:
    text = section(PAGE, "PyInstaller")
    (program,) = blocks(text, "python")
    (tmp_path / "own.py").write_text(program)
    (tmp_path / "docs").symlink_to(DOCS)
    _, run, *shown = blocks(text, "console")[0].splitlines()
    done = subprocess.run(
        [sys.executable, "own.py", *run.split()[2:]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == shown


def test_shell_is_well_formed() -> None:
    for script in [*blocks(PAGE, "bash"), SORT.read_text()]:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@needs("shellcheck")
def test_shellcheck_finds_nothing() -> None:
    for script in [*blocks(PAGE, "bash"), SORT.read_text()]:
        command = ["shellcheck", "--shell", "bash", "-"]
        done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout
