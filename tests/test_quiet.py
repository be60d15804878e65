"""A quiet guest: no network, no stray files, no threads beyond what the machine grants."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
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
@pytest.mark.parametrize("megabytes", [110, 130, 150])
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


UNIT = "0::/system.slice/flowers.service\n"
V1 = "3:cpuset:/a\n2:cpu,cpuacct:/system.slice/flowers.service\n1:name=systemd:/b\n0::/b\n"
SPLIT = "2:cpuacct:/else\n1:cpu:/docker/1\n"


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        (UNIT, {"system.slice/flowers.service/cpu.max": "200000 100000\n"}, 2),
        # The smallest on the way up counts.
        (
            UNIT,
            {
                "system.slice/flowers.service/cpu.max": "max 100000\n",
                "system.slice/cpu.max": "300000 100000\n",
                "cpu.max": "400000 100000\n",
                "other.slice/cpu.max": "100000 100000\n",
            },
            3,
        ),
        # In a container, whose group is the root that it sees: by its name outside, or none.
        ("0::/docker/0123\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/../../a:b\n", {"cpu.max": "200000 100000\n", "a:b/cpu.max": "100000 100000"}, 1),
        ("0::/../..\n", {"cpu.max": "200000 100000\n", "../cpu.max": "100000 100000\n"}, 2),
        (
            V1,
            {
                "cpu,cpuacct/system.slice/flowers.service/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/system.slice/flowers.service/cpu.cfs_period_us": "100000\n",
                "b/cpu.max": "nothing\n",
            },
            2,
        ),
        (
            SPLIT,
            {
                "cpu/docker/1/cpu.cfs_quota_us": "-1\n",
                "cpu/docker/1/cpu.cfs_period_us": "100000\n",
                "cpu/docker/cpu.cfs_quota_us": "150000\n",
                "cpu/docker/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_allowed_cpus_follow_the_groups_of_this_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: str,
    files: dict[str, str],
    quota: int,
) -> None:
    root = tmp_path / "root"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert allowed_cpus(root, tmp_path / "own") == quota


MALFORMED = [
    b"",
    b"\n",
    b"max",
    b"100000",
    b"1 0",
    b"-1 1",
    b"a b",
    b"1 2 3",
    b"\xff\0",
    b"0::",
    b":",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_groups_set_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    names = ["own", "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]
    (tmp_path / "cpu").mkdir()
    for name in names:
        (tmp_path / name).write_bytes(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if text != b"100000":  # of v1, these are one CPU
        assert allowed_cpus(tmp_path, tmp_path / "own") == 8
    for own in (b"0::/a\0b\n", b"0::/\xff\n", b"0\n1:cpu\n::::\n", b"0::" + b"/a" * 5000):
        (tmp_path / "own").write_bytes(own)
        allowed_cpus(tmp_path, tmp_path / "own")


@pytest.fixture
def half_a_cpu() -> Iterator[Path]:
    """A control group of this system with a quota: what ``CPUQuota=50%`` makes for a unit."""
    for root, quotas in (
        ("/sys/fs/cgroup", {"cpu.max": "50000 100000"}),
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}),
    ):
        group = Path(root, f"flowers-test-{os.getpid()}")
        if not Path(root, "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            for name, value in quotas.items():
                (group / name).write_text(value)
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        yield group
        with contextlib.suppress(OSError):
            group.rmdir()
        return
    pytest.skip("needs the right to make a control group")


@pytest.mark.skipif(allowed_cpus() < 2, reason="needs two CPUs")
def test_the_command_keeps_to_the_quota_of_its_unit(half_a_cpu: Path) -> None:
    script = f'echo $$ > {half_a_cpu}/cgroup.procs && exec "$@"'
    words = ["sh", "-c", script, "sh", str(FLOWERS), "info", "--format", "json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    environment = json.loads(done.stdout)["environment"]
    assert (environment["cpus_allowed"], environment["threads"]) == (1, 1)


def test_telemetry_is_off_unless_the_user_wants_it() -> None:
    program = "import os, flowers_onnx; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in ((None, "1"), ("0", "0")):
        env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
        env |= {"ORT_DISABLE_TELEMETRY": given} if given else {}
        done = subprocess.run([sys.executable, "-c", program], env=env, stdout=-1, check=True)
        assert done.stdout.decode().strip() == expected
