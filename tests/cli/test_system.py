"""What a system refuses to a process, and what nobody foresaw: a line and an exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import FLOWERS, PATIENCE, posix, wait_until

#: Runs a command line where something fails that must not.
NO_THREADS = """
import threading
def start(_thread): raise RuntimeError("can't start new thread")
threading.Thread.start = start
"""
NO_FILES = """
import errno, os
from flowers_onnx import classifier
def load(*_, **__): raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "some/file")
classifier.Classifier = load
"""
A_BUG = """
from flowers_onnx import classifier
def results(*_): raise KeyError("a\\nbug")
classifier.Classifier.results = results
"""
RUN = "import os, sys\nfrom flowers_onnx.cli.main import main\nos._exit(main(sys.argv[1:]))"


def run_where(
    fault: str, *words: str | Path, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", fault + RUN, *words],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def test_without_threads_the_work_is_done_all_the_same(sample: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(sample, tmp_path / name)
    done = run_where(NO_THREADS, "classify", "a.jpg", "b.jpg", "missing.jpg", cwd=tmp_path)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == [b"a.jpg", b"b.jpg"]


@posix
def test_what_needs_threads_says_so(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    done = run_where(NO_THREADS, "serve", "--port", "0", "--auth", "none", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr == (
        b"flowers: stopped: the system gives no more threads (ulimit -u, TasksMax=, --pids-limit)\n"
    )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (NO_FILES, b"flowers: stopped: Too many open files: some/file\n"),
        (
            A_BUG,
            b"flowers: stopped: unexpected KeyError: 'a\\nbug'; FLOWERS_TRACEBACK=1 shows where\n",
        ),
    ],
)
def test_what_nobody_foresaw_is_one_line(
    fault: str, told: bytes, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").write_text("old")
    words = ("classify", sample, "--out", "out.csv")
    done = run_where(fault, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"", told)
    asked = run_where(fault, *words, cwd=tmp_path, FLOWERS_TRACEBACK="1")
    assert asked.returncode == 5
    assert asked.stderr.startswith(b"Traceback")
    assert asked.stderr.endswith(told)
    assert (tmp_path / "out.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["out.csv"]


@posix
def test_who_is_told_to_ignore_hangups_does(sample: Path, tmp_path: Path) -> None:
    """As ``nohup`` tells."""
    process = subprocess.Popen(
        [FLOWERS, "classify", "-", "--out", "out.txt"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_until(lambda: os.listdir(tmp_path))
    process.send_signal(signal.SIGHUP)
    _, told = process.communicate(sample.read_bytes(), timeout=PATIENCE)
    assert (process.returncode, told) == (0, b"")
    assert os.listdir(tmp_path) == ["out.txt"]


@posix
def test_hangups_come_in_numbers(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [FLOWERS, "classify", "-", "--out", "out.txt"], stdin=subprocess.PIPE, cwd=tmp_path
    )
    wait_until(lambda: os.listdir(tmp_path))
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=PATIENCE) == 129
    assert os.listdir(tmp_path) == []
    assert process.stdin is not None
    process.stdin.close()
