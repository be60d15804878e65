"""A quiet guest: no network, no stray files, no threads beyond what the machine grants."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import FLOWERS, needs

from flowers_onnx.machine import allowed_cpus

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


@needs("strace")
@pytest.mark.parametrize("words", [["classify", "SAMPLE"], ["stream"], ["--version"], ["info"]])
def test_opens_no_file_for_writing_and_no_socket(
    bare: Path, sample: Path, tmp_path: Path, words: list[str]
) -> None:
    log = tmp_path / "strace.log"
    command = [str(sample) if word == "SAMPLE" else word for word in words]
    calls = "trace=socket,connect,openat,open,creat,mkdir,mkdirat"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", calls, "-o", log, FLOWERS, *command],
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


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_threads_than_asked_for(sample: Path, workers: int) -> None:
    command = [str(FLOWERS), "stream", "--threads", str(workers)]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        process.stdin.write(b'{"path": "%s"}\n' % os.fsencode(sample) * 9)
        process.stdin.flush()
        for _ in range(9):
            process.stdout.readline()
        found = len(os.listdir(f"/proc/{process.pid}/task"))
    # Beside the workers: to read, to write, to watch.
    assert found == workers + 3


@pytest.mark.skipif(sys.platform != "linux", reason="limits and figures of Linux")
def test_one_photo_takes_little_memory(sample: Path) -> None:
    # 192 MB of addresses, libraries and all; and what of it was in memory at the most.
    program = 'ulimit -v 196608 && exec "$@"'
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = ["sh", "-c", program, "sh", str(FLOWERS), "classify", str(sample)]
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    answer, kilobytes = done.stdout.splitlines()
    assert b"dahlia" in answer
    assert int(kilobytes) <= 100 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("megabytes", [110, 130, 155])
def test_too_little_memory_is_told_in_one_line(sample: Path, megabytes: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'ulimit -v {megabytes * 1024}; exec "$@"', "sh", FLOWERS, "classify", sample],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


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
