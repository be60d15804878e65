"""What a batch says while it runs: a bar on a terminal, lines or JSON in a log."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from support import FLOWERS, posix

from flowers_onnx.batch.log import Log


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_gets_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = Log(form)
    for now in (1001.0, 1059.0, 1061.0, 1100.0, 1119.0, 1122.0):
        log.progress(int(now - 1000) * 100, 5, "all well")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    if form == "text":
        assert lines[0] == "flowers: 6,100 images, 100 a second: all well"
    else:
        first = json.loads(lines[0])
        assert (first["severity"], first["images"], first["rate"]) == ("INFO", 6100, 100)


@posix
def test_a_terminal_sees_a_bar_that_goes_away(tmp_path: Path) -> None:
    import pty

    for number in range(60):
        Image.new("RGB", (300, 300), (number, 0, 0)).save(tmp_path / f"{number}.png")
    ours, theirs = pty.openpty()
    named = ("--min_confidence", "0")  # these pictures show no flower
    command = (FLOWERS, "batch", tmp_path, "--out", tmp_path / "r.csv", *named)
    process = subprocess.Popen(command, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert process.wait() == 0
    shown = [line for line in re.split(rb"\r(?:\x1b\[K)?", seen) if b" left, " in line]
    assert shown
    assert re.fullmatch(
        rb"\[[#.]{24}\] \d+/60, \d+:\d\d left, [\d.]+ a second: \d+ named, 0 failed", shown[-1]
    )
    assert seen.rpartition(b"\x1b[K")[2].startswith(b"flowers: 60 named, 0 failed")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_count_that_fails_costs_only_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def count() -> int:
        raise OSError

    known = set(threading.enumerate())
    log = Log("text")
    log.expect(count)
    for counting in set(threading.enumerate()) - known:
        counting.join()
    now = 1002.0
    log.progress(10, 0, "all well")
    assert terminal.getvalue() == "\r\x1b[K10 images, 5 a second: all well"
    log.close()
