"""Which cores a photo takes: all that it may where it is alone, else one, and never more."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from answers import read_reference, write_pictures
from support import FLOWERS, PATIENCE, SAMPLE, posix, wait_until

from flowers_onnx import Classifier
from flowers_onnx.network import MAX_CORES

#: More than it takes until another core pays.
SOME = 12
linux = pytest.mark.skipif(sys.platform != "linux", reason="threads, limits and CPUs of Linux")


@pytest.fixture(autouse=True)
def _two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowers_onnx.classifier.allowed_cpus", lambda: 2)


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def python(code: str, *words: object, cpus: int = 2) -> subprocess.CompletedProcess[str]:
    """Run it with a classifier of a process that may use as many CPUs."""
    preface = (
        "import os, sys\n"
        "import flowers_onnx.classifier as module\n"
        f"module.allowed_cpus = lambda: {cpus}\n"
        "def count(): return len(os.listdir('/proc/self/task'))\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", preface + code, SAMPLE, *map(str, words)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


ALONE = """
classifier = module.Classifier(threads=eval(sys.argv[2]))
found = [count()]
for _ in range(12):
    classifier.classify(sys.argv[1])
    found.append(count())
print(found[0], found[1], found[-1])
"""


@linux
@pytest.mark.parametrize(
    ("asked", "cpus", "most"),
    [(None, 1, 1), (None, 2, 2), (None, 64, MAX_CORES), (1, 2, 1), (2, 1, 1), (8, 2, 2)],
)
def test_no_more_threads_than_allowed(asked: int | None, cpus: int, most: int) -> None:
    done = python(ALONE, asked, cpus=cpus)
    assert (done.stdout, done.stderr) == (f"1 1 {most}\n", "")


@linux
def test_photos_side_by_side_take_one_core_each() -> None:
    classifier = Classifier(threads=2)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            begun.set()
            assert go_on.wait(PATIENCE)
            return super().read(size)

    other = threading.Thread(target=classifier.result, args=[Slow(SAMPLE.read_bytes())])
    other.start()
    assert begun.wait(PATIENCE)
    before = threads()
    for _ in range(SOME):
        classifier.classify(SAMPLE)
    assert threads() <= before
    go_on.set()
    other.join(PATIENCE)
    before = threads()
    for _ in range(SOME):
        classifier.classify(SAMPLE)
    assert len(threads() - before) == 1


def test_answers_are_the_same_to_the_bit(tmp_path: Path) -> None:
    pictures = write_pictures(read_reference(photos=False), tmp_path, data=Path())
    one, two = (Classifier(threads=count) for count in (1, 2))
    for _ in range(SOME):
        two.classify(SAMPLE)
    assert len(pictures) == 21
    for picture in pictures:
        assert two.classify(picture, top_k=102) == one.classify(picture, top_k=102)


def test_nothing_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Any]()
    real = onnxruntime.InferenceSession

    def session(path: str, options: Any, **others: Any) -> Any:
        made.append(options)
        return real(path, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    classifier = Classifier(threads=2)
    for _ in range(SOME):
        classifier.classify(SAMPLE)
    assert [options.intra_op_num_threads for options in made] == [1, 2]
    for options in made:
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@linux
def test_threads_sleep_when_there_is_nothing_to_do() -> None:
    before = threads()
    classifier = Classifier(threads=2)
    for _ in range(SOME):
        classifier.classify(SAMPLE)
    (own,) = threads() - before

    def seen() -> list[str]:
        return Path(f"/proc/self/task/{own}/stat").read_text().rpartition(")")[2].split()

    wait_until(lambda: seen()[0] == "S")
    ticks = seen()[11:13]
    threading.Event().wait(0.3)
    assert (seen()[0], seen()[11:13]) == ("S", ticks)


FORKS = """
import signal, threading
classifier = module.Classifier(threads=2)
photo = sys.argv[1]

def some():
    return [classifier.classify(photo) for _ in range(12)][-1].label

def end(child):
    return os.waitpid(child, 0)[1]

some()
print(count())
child = os.fork()
if not child:
    signal.alarm(100)
    print(count(), some(), count(), flush=True)
    sys.exit(0)  # not os._exit: what ends here must not be the parent's
print(end(child), count(), some(), count())

stopped = threading.Event()
def go_on():
    while not stopped.is_set():
        classifier.classify(photo)
other = threading.Thread(target=go_on)
other.start()
ends = []
for number in range(6):
    stopped.wait(0.2)
    if not (child := os.fork()):
        signal.alarm(100)
        classifier.classify(photo)
        sys.exit(0)
    ends.append(end(child))
stopped.set()
other.join()
print(*ends)
"""


@posix
@linux
def test_a_fork_hangs_on_no_thread_that_it_lacks() -> None:
    done = python(FORKS)
    label = "pink-yellow dahlia"
    assert (done.stdout.splitlines(), done.stderr) == (
        ["2", f"1 {label} 2", f"0 1 {label} 2", "0 0 0 0 0 0"], ""
    )  # fmt: skip


SCARCE = """
import resource
classifier = module.Classifier(threads=2)
photo = sys.argv[1]
for _ in range(4):
    classifier.classify(photo)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
# Less than a thread's stack.
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), resource.RLIM_INFINITY))
print({classifier.classify(photo).label for _ in range(30)}, count())
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@linux
def test_where_no_thread_can_be_had_one_does_all() -> None:
    done = python(SCARCE)
    assert (done.stdout, done.stderr) == ("{'pink-yellow dahlia'} 1\n", "")


@linux
def test_a_stream_with_one_request_in_flight_takes_two_cores() -> None:
    may = len(os.sched_getaffinity(0))
    with subprocess.Popen([FLOWERS, "stream", "--threads=2"], stdin=-1, stdout=-1) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()

        def ask() -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"path": str(SAMPLE)}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["status"] == "ok"
            return len(os.listdir(f"/proc/{process.pid}/task"))

        for _ in range(4):  # both workers are there
            found = ask()
        for _ in range(SOME):
            more = ask()
    assert more - found == min(may, MAX_CORES) - 1
