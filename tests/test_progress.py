"""The line that tells how far a run is: on a terminal, never wider than it, gone in the end."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support import FLOWERS, posix
from terminals import Terminal

from flowers_onnx import console
from flowers_onnx.progress import Progress

BAR = re.compile(r"\[[#.]+\] \d+/\d+, \d+:\d\d left, [\d.]+ a second: \d+ named, \d+ failed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures enough for more than a moment, and two that are none."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(58):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number:03}.png")
    for name in ("010.jpg", "x.jpg"):
        (folder / name).write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    words = [str(FLOWERS), "classify", str(folder), "--out", str(path)]
    subprocess.run(words, check=False, capture_output=True)
    return path


@posix
@pytest.mark.parametrize("columns", [80, 30])
def test_a_folder_into_a_file_shows_one_line(folder: Path, tmp_path: Path, columns: int) -> None:
    command = [FLOWERS, "classify", folder, "--format", "jsonl"]
    with (
        (tmp_path / "out").open("wb") as out,
        Terminal(command, columns, stdout=out, cwd=tmp_path) as terminal,
    ):
        assert terminal.read() == 1
        frames = list(terminal.frames())
    assert len(frames) > 2, terminal.seen
    assert max(map(len, frames[:-1])) == 1  # the bar alone
    assert max(len(line) for frame in frames[:-1] for line in frame) < columns
    if columns == 80:
        assert any(BAR.fullmatch(line) for frame in frames for line in frame)
    assert "".join(terminal.screen()) == ("flowers: 2 of 60 inputs failed; their rows say why")
    assert (tmp_path / "out").read_bytes().count(b"\n") == 60


@posix
def test_what_is_said_meanwhile_stands_above_the_line(folder: Path, tmp_path: Path) -> None:
    words = ["classify", "gone.jpg", folder, folder / "x.jpg", folder, "--out", "out.txt"]
    with Terminal([FLOWERS, *words], cwd=tmp_path) as terminal:
        assert terminal.read() == 1
        assert len(list(terminal.frames())) > 2
    *failures, last = terminal.screen()
    assert last == "flowers: 6 of 122 inputs failed"
    assert failures[0] == "gone.jpg: no such file or folder (not_found)"
    assert "".join(failures).count("the file is empty (is_empty)") == 5
    assert "left" not in "".join(terminal.screen())


@posix
@pytest.mark.parametrize("to_file", [True, False])
def test_a_report_shows_how_far_it_is(results: Path, tmp_path: Path, *, to_file: bool) -> None:
    words = ["report", results, *(["--out", "page.html"] if to_file else [])]
    with (
        (tmp_path / "page.html").open("wb") as out,
        Terminal([FLOWERS, *words], stdout=out, cwd=results.parent.parent) as terminal,
    ):
        assert terminal.read() == 0
    assert terminal.screen() == []


@posix
@pytest.mark.parametrize(
    ("options", "env"),
    [
        ({"stdout": subprocess.PIPE}, {}),  # its reader may write to this terminal
        ({"stdout": subprocess.DEVNULL}, {"TERM": "dumb"}),
    ],
)
def test_no_line_where_it_would_disturb(
    folder: Path, options: dict[str, int], env: dict[str, str]
) -> None:
    command = [FLOWERS, "classify", folder, "--format", "json"]
    with Terminal(command, env=env, **options) as terminal:
        if terminal.process.stdout:
            terminal.process.stdout.read()
        assert terminal.read() == 1
    assert terminal.seen == "flowers: 2 of 60 inputs failed; their rows say why\r\n"


@posix
@pytest.mark.parametrize(
    ("stop", "code", "said"),
    [(signal.SIGINT, 130, ["flowers: interrupted"]), (signal.SIGTERM, 143, [])],
)
def test_a_run_that_is_stopped_takes_its_line_along(
    folder: Path, tmp_path: Path, stop: signal.Signals, code: int, said: list[str]
) -> None:
    words = ["classify", folder, "-", "--out", "out.json"]  # standard input never ends
    with Terminal([FLOWERS, *words], stdin=subprocess.PIPE, cwd=tmp_path) as terminal:
        terminal.read(until=" named, ")
        terminal.process.send_signal(stop)
        assert terminal.read() == code
    assert terminal.screen() == said
    assert os.listdir(tmp_path) == []


@posix
def test_one_photo_loads_nothing_of_it(sample: Path) -> None:
    program = (
        "import sys; from flowers_onnx.cli.main import main; "
        f"main(['classify', {str(sample)!r}]); print('flowers_onnx.progress' in sys.modules)"
    )
    with Terminal([sys.executable, "-c", program], stdout=subprocess.PIPE) as terminal:
        assert terminal.process.stdout
        assert terminal.process.stdout.read().endswith(b"\nFalse\n")
        assert (terminal.read(), terminal.seen) == (0, "")


class Screen(io.StringIO):
    """A terminal that takes all that is written."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def shown_on(monkeypatch: pytest.MonkeyPatch, columns: int) -> Screen:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(console, "erasure", str)
    for name in ("XTERM_VERSION", "STY", "TERM"):
        monkeypatch.delenv(name, raising=False)
    resize(monkeypatch, columns)
    return screen


def resize(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a" * 30, "a" * 19),
        ("花" * 30, "花" * 9),
        ("🌼" * 30, "🌼" * 9),
        ("n\N{COMBINING TILDE}" * 30, "n\N{COMBINING TILDE}" * 19),
        ("a\x1b[2J\tb", "a?[2J?b"),
    ],
)
def test_the_line_is_cut_to_what_a_terminal_shows(
    monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    screen = shown_on(monkeypatch, 20)
    with Progress() as progress:
        progress.show(None, text)
        assert screen.getvalue() == f"\r\x1b[K{shown}"


def test_the_line_follows_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = shown_on(monkeypatch, 20)
    with Progress() as progress:
        progress.show(0.5, "text")
        assert screen.getvalue() == "\r\x1b[K[######......] text"
        resize(monkeypatch, 8)  # which wraps it into three lines
        progress.show(0.5, "text")
        resize(monkeypatch, 40)
        progress.show(0.5, "text")
    assert screen.getvalue().split("\r")[2:] == [
        "\x1b[2A\x1b[Jtext",
        f"\x1b[K[{'#' * 12}{'.' * 12}] text",
        "\x1b[K",
    ]


def test_the_time_left_is_that_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = shown_on(monkeypatch, 200)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress() as progress:
        now = 1002.0
        progress.update(1, "x")
        progress.expect(10_000)
        now = 1004.0
        progress.update(2, "x", skipped=5000)
        now = 1004.1  # too soon
        progress.update(3, "x", skipped=5000)
    assert re.split(r"\r\x1b\[K", screen.getvalue())[1:] == [
        "1 images, 0.5 a second: x",
        f"[{'#' * 12}{'.' * 12}] 5,002/10,000, 2:46:36 left, 0.5 a second: x",
        "",
    ]
