"""Which photos a word means, without a process for each question."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from support import posix

from flowers_onnx.sources import STDIN, Stream, Unreadable, expand

PHOTO = b"\xff\xd8\xff\xe0" + bytes(40)


def found(*words: str | Path, stdin: io.BytesIO | None = None) -> list[str]:
    """Paths, and ``path: code`` for what can't be read."""
    return [
        one if isinstance(one, str)
        else f"{one.path}: {one.error.code}" if isinstance(one, Unreadable)
        else f"{one.path} open"
        for one in expand(map(str, words), stdin)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "f"
    made.mkdir()
    return made


def test_what_nothing_calls_a_photo_is_none(folder: Path) -> None:
    """It is left out, where what has a photo's name is reported."""
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    assert found("f") == ["f: no_images"]
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "empty.PNG").touch()
    assert found("f") == ["f/empty.PNG", "f/gone.jpg", "f/loop.jpg"]


def test_a_photo_is_told_by_its_first_bytes(folder: Path) -> None:
    (folder / "photo").write_bytes(PHOTO)
    (folder / "short").write_bytes(PHOTO[:3])
    (folder / "empty").touch()
    (folder / "notes.txt").write_text("no photo")
    (folder / "link").symlink_to(folder / "photo")
    (folder / "sub.jpg").mkdir()
    (folder / "sub.jpg" / "inner").write_bytes(PHOTO)
    (folder / "to.jpg").symlink_to(folder / "sub.jpg")  # a link to a folder, of a photo's name
    assert found("f") == ["f/link", "f/photo", "f/short", "f/sub.jpg/inner"]


@posix
def test_a_pipe_is_asked_nothing(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert found("f") == ["f: no_images"]
    os.mkfifo(folder / "pipe.jpg")  # whose name says that it is to be read
    assert found("f") == ["f/pipe.jpg"]


def test_hidden_entries_are_left_out(folder: Path) -> None:
    (folder / ".git").mkdir()
    for name in (".a.jpg", ".git/b.jpg", "c.jpg"):
        (folder / name).write_bytes(PHOTO)
    assert found("f") == ["f/c.jpg"]
    assert found("f/.git", "f/.a.jpg") == ["f/.git/b.jpg", "f/.a.jpg"]  # unless they are named


def test_folders_are_walked_depth_first(folder: Path) -> None:
    for name in ("b/2.jpg", "b/1/z.jpg", "a.jpg", "c.jpg", "b.jpg", "b/10.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PHOTO)
    assert found("f") == [
        f"f/{name}" for name in ("a.jpg", "b/1/z.jpg", "b/10.jpg", "b/2.jpg", "b.jpg", "c.jpg")
    ]


def test_a_folder_that_cannot_be_listed_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        (folder / name / "x.jpg").write_bytes(PHOTO)
    monkeypatch.setattr(os, "scandir", refuse)
    assert found("f") == ["f/a/x.jpg", "f/b: permission_denied", "f/c/x.jpg"]


def test_patterns(folder: Path) -> None:
    for name in ("2.jpg", "1.jpg", "[1].jpg", "sub/3.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(PHOTO)
    assert found("f/?.jpg") == ["f/1.jpg", "f/2.jpg"]
    assert found("f/[12].jpg") == ["f/1.jpg", "f/2.jpg"]
    assert found("f/[1].jpg") == ["f/[1].jpg"]  # a file of this name wins
    assert found("f/s*") == ["f/sub/3.jpg"]
    assert found("f/**") == ["f/1.jpg", "f/2.jpg", "f/[1].jpg", "f/sub/3.jpg"]
    assert found("f/*.png", "f/2.jpg") == ["f/*.png: not_found", "f/2.jpg"]
    assert found("missing.jpg") == ["missing.jpg"]  # told when it is opened


def test_standard_input() -> None:
    file = io.BytesIO(PHOTO)
    assert list(expand([STDIN], file)) == [Stream("-", file)]
    assert found("-") == ["-: read_error"]
