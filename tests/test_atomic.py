"""What a file system refuses: results are in their place, or the message says where they are."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, Run, posix

from flowers_onnx import atomic
from flowers_onnx.atomic import create, remove_leftovers, replacing
from flowers_onnx.errors import OutputError
from flowers_onnx.tables.reading import read_results

#: Runs command lines, one after the other, where the system refuses a call.
FAULTY = """
import json, os, sys

calls, code, commands = json.loads(sys.argv[1])

def refused(*_words, **_options):
    raise OSError(code, os.strerror(code))

for call in calls:
    setattr(os, call, refused)

from flowers_onnx.cli.main import main

for words in commands:
    code_of_exit = main(words)
    print(f"exit {code_of_exit}", file=sys.stderr, flush=True)
"""
FAULTS = [
    (("chmod",), errno.EPERM),
    (("fsync",), errno.ENOSYS),
    (("fsync",), errno.EIO),
    (("rename", "replace"), errno.EACCES),
    (("rename", "replace"), errno.EBUSY),
]
LOST = {errno.EIO, errno.EACCES}
BATCH = ("results.jsonl", "results.csv", "results.parquet", "results.sqlite")
CLASSIFY, PAGE = ("classified.json", "classified.csv"), "page.html"


def commands() -> list[list[str]]:
    return [
        *(["batch", "photos", "--out", name, "--journal", f"journal-{name}"] for name in BATCH),
        *(["classify", "photos", "--format", n.partition(".")[2], "--out", n] for n in CLASSIFY),
        ["report", "earlier.jsonl", "--out", PAGE],
    ]


def run_faulty(
    folder: Path, calls: tuple[str, ...], code: int, lines: list[list[str]]
) -> list[tuple[int, str]]:
    """The exit code and the messages of each command line."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTY, json.dumps([calls, code, lines])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    told = re.findall(r"(.*?)^exit (\d+)\n", done.stderr, re.DOTALL | re.MULTILINE)
    assert len(told) == len(lines)
    return [(int(exit_code), text) for text, exit_code in told]


def count(path: Path) -> int:
    """How many photos a result has."""
    if path.suffix == ".html":
        return path.read_text(encoding="utf-8").count("data:image")
    if path.name.startswith("journal"):
        return path.read_text().count('"path"')
    return len({result.path for result in read_results([str(path)])})


@pytest.fixture(scope="module")
def earlier(
    tmp_path_factory: pytest.TempPathFactory, sample: Path
) -> tuple[Path, dict[str, bytes]]:
    """A folder with two photos, and files: results of the first of them, and one of both."""
    folder = tmp_path_factory.mktemp("earlier")
    (folder / "photos").mkdir()
    shutil.copy(sample, folder / "photos" / "0.jpg")
    first = [["batch", "photos", "--out", "earlier.jsonl"], *commands()]
    assert {code for code, _ in run_faulty(folder, (), 0, first)} == {0}
    shutil.copy(sample, folder / "photos" / "1.jpg")
    second = [["batch", "photos", "--out", "earlier.jsonl"]]
    assert run_faulty(folder, (), 0, second)[0][0] == 0
    return folder, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(("calls", "code"), FAULTS, ids=str)
def test_no_result_is_lost(
    earlier: tuple[Path, dict[str, bytes]], calls: tuple[str, ...], code: int
) -> None:
    folder, old = earlier
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    for name, content in old.items():
        (folder / name).write_bytes(content)
    names = [*BATCH, *CLASSIFY, PAGE]
    ends = dict(zip(names, run_faulty(folder, calls, code, commands()), strict=True))
    for name, (exit_code, told) in ends.items():
        if exit_code == 0:
            assert count(folder / name) == 2, told
            continue
        assert code in LOST, told
        assert exit_code == 4
        found = re.search(r"(?:kept|results are) in (\S+?)(;|$)", told, re.MULTILINE)
        assert found, told
        # A journal has the new photo only; the result still has the other one.
        assert count(folder / found[1]) == 1 + (not found[1].startswith("journal"))
        # A database is changed in place.
        assert (folder / name).read_bytes() == old[name] or found[1] == name
        if not found[1].startswith(("journal", "results")):
            assert re.fullmatch(r"\w+\.kept-[0-9a-f]{8}\.\w+", Path(found[1]).name)
            (folder / found[1]).unlink()
    assert code in LOST or {exit_code for exit_code, _ in ends.values()} == {0}
    assert code not in LOST or {ends[name][0] for name in (*CLASSIFY, PAGE)} == {4}
    if code in LOST:
        # What can't be published once more is named once more; later, the next run publishes it.
        ((_, told),) = run_faulty(folder, calls, code, commands()[:1])
        assert "1 image is done and kept in journal-results.jsonl" in told
        again = run_faulty(folder, (), 0, commands()[: len(BATCH)])
        assert {exit_code for exit_code, _ in again} == {0}
        assert [count(folder / name) for name in BATCH] == [2] * len(BATCH)
    assert not [path.name for path in folder.iterdir() if re.search("tmp|kept|journal", path.name)]


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    def refused(*_words: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, refused)


def write(path: Path, text: str, **options: bool) -> None:
    with replacing(str(path), **options) as temporary:
        Path(temporary).write_text(text)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_may_have_lost_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "a").write_text("old")
    refusing(monkeypatch, "fsync", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        write(tmp_path / "a", "new")
    with pytest.raises(OutputError, match="what may not be all of the results is kept in"):
        write(tmp_path / "a", "new", keep=True)
    assert (tmp_path / "a").read_text() == "old"


def test_a_name_that_nothing_can_be_renamed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in ("rename", "replace", "link"):
        refusing(monkeypatch, call, errno.EPERM)
    write(tmp_path / "new", "whole")  # nobody has it: it is made in place
    assert (tmp_path / "new").read_text() == "whole"
    with pytest.raises(OutputError, match="the results are kept in") as raised:
        write(tmp_path / "new", "another", keep=True)
    kept = Path(str(raised.value).rpartition(" ")[2])
    assert (kept.read_text(), (tmp_path / "new").read_text()) == ("another", "whole")
    remove_leftovers(str(tmp_path / "new"))
    assert sorted(os.listdir(tmp_path)) == sorted(["new", kept.name])


def test_what_is_cut_short_in_its_place_is_whole_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("old")
    refusing(monkeypatch, "replace", errno.EBUSY)
    copy = shutil.copyfileobj

    def full(source: object, target: object) -> None:
        if getattr(target, "name", "") == str(tmp_path / "a.csv"):
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"No space left on device; .* kept in .*a\.kept-"):
        write(tmp_path / "a.csv", "new")
    (kept,) = tmp_path.glob("a.kept-*.csv")
    assert kept.read_text() == "new"


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_file_in_a_folder_for_reading(tmp_path: Path) -> None:
    _check_file_in_closed_folder(tmp_path)


@posix
def test_a_file_in_a_folder_that_takes_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with a read-only root in which one file is mounted."""
    monkeypatch.setattr(atomic, "can_make_files", lambda folder: folder != str(tmp_path))
    _check_file_in_closed_folder(tmp_path)


def _check_file_in_closed_folder(folder: Path) -> None:
    path = folder / "a"
    path.write_text("a longer text of old")
    inode = path.stat().st_ino
    if os.geteuid():
        folder.chmod(0o500)
    try:
        write(path, "new")
    finally:
        folder.chmod(0o700)
    assert (path.read_text(), path.stat().st_ino) == ("new", inode)
    assert os.listdir(folder) == ["a"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_mode_is_that_of_the_file_or_of_any_new_one(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "a").touch()
        (tmp_path / "a").chmod(0o464)
        for name in "ab":
            write(tmp_path / name, "new")
        create(str(tmp_path / "c"), b"new")
        write(tmp_path / "d", "new", private=True)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abcd"]
    assert modes == [0o464, 0o666 & ~umask, 0o666 & ~umask, 0o600]


def test_a_name_of_the_longest(tmp_path: Path) -> None:
    name = "ñ" * 125 + ".json"
    for text in ("old", "new"):
        write(tmp_path / name, text)
    (tmp_path / name).write_text("x")
    assert create(str(tmp_path / f"{'a' * 250}.json"), b"x")
    with replacing(str(tmp_path / name)) as temporary:
        left = Path(temporary)
    left.touch()
    remove_leftovers(str(tmp_path / name))
    assert not left.exists()


def test_leftovers_that_cannot_go_cost_nothing(tmp_path: Path) -> None:
    (tmp_path / ".a.12345678.tmp").mkdir()
    remove_leftovers(str(tmp_path / "a"))
    remove_leftovers(str(tmp_path / "missing" / "a"))


@posix
def test_a_folder_is_refused(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    done = flowers("classify", sample, "--out", "out.csv")
    assert (done.returncode, done.stderr) == (
        4,
        b"flowers: can't write to out.csv: it is a folder\n",
    )
