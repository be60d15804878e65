"""A quiet guest: no network, no stray files, no threads beyond what the machine grants."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import FLOWERS

from flowers_onnx.cpus import allowed_cpus

STRACE = shutil.which("strace")
WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|mkdir|socket\(")
HARMLESS = re.compile(r'"/dev/(null|tty)"')


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty folder that can't be written to, as HOME and working directory."""
    folder = tmp_path / "bare"
    folder.mkdir(mode=0o555)
    return folder


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}


def test_works_where_nothing_can_be_written(bare: Path, sample: Path) -> None:
    done = subprocess.run(
        [FLOWERS, "classify", sample],
        cwd=bare,
        env=environment(bare),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.listdir(bare) == []


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("words", [["classify", "SAMPLE"], ["--version"], ["info"]])
def test_opens_no_file_for_writing_and_no_socket(
    bare: Path, sample: Path, tmp_path: Path, words: list[str]
) -> None:
    log = tmp_path / "strace.log"
    command = [str(sample) if word == "SAMPLE" else word for word in words]
    calls = "trace=socket,connect,openat,open,creat,mkdir,mkdirat"
    done = subprocess.run(
        [STRACE or "", "-f", "-qq", "-e", calls, "-o", log, FLOWERS, *command],
        cwd=bare,
        env=environment(bare),
        capture_output=True,
        check=False,
    )
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    traced = log.read_text().splitlines()
    assert any("O_RDONLY" in line for line in traced), "nothing was traced"
    guilty = [line for line in traced if WRITES.search(line) and not HARMLESS.search(line)]
    assert guilty == []


def test_no_more_threads_than_asked_for(sample: Path) -> None:
    program = (
        "import os, sys; from flowers_onnx import Classifier;"
        "Classifier(threads=1).classify(sys.argv[1]);"
        "print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sample], capture_output=True, text=True, check=True
    )
    # NumPy's BLAS keeps a pool of its own that is never used here.
    idle = "import os, numpy, onnxruntime; print(len(os.listdir('/proc/self/task')))"
    before = subprocess.run(
        [sys.executable, "-c", idle], capture_output=True, text=True, check=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )  # fmt: skip
    assert int(done.stdout) == int(before.stdout)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_allowed_cpus_follow_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert allowed_cpus(tmp_path) == (quota or 8)


def test_telemetry_is_off_unless_the_user_wants_it() -> None:
    program = "import os, flowers_onnx; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in ((None, "1"), ("0", "0")):
        env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
        env |= {"ORT_DISABLE_TELEMETRY": given} if given else {}
        done = subprocess.run([sys.executable, "-c", program], env=env, stdout=-1, check=True)
        assert done.stdout.decode().strip() == expected
