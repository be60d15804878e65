"""From items to results: what is held in memory at a time, and how many threads are needed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.server import Fake
from support import FLOWERS, PATIENCE, SAMPLE, needs, posix, wait_until

from flowers_onnx.batch.pipeline import classified
from flowers_onnx.classifier import Classifier
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.results import Failure, Query, Result
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage.item import Admit, Item

MEGABYTE = 1 << 20


class Memory:
    """A storage whose objects have a size and no content, and a classifier of them.

    It counts what is held from the moment that a size is known until there is a result.
    """

    def __init__(self, threads: int, sizes: dict[str, int]) -> None:
        self.threads, self.sizes = threads, sizes
        self.held = self.peak = self.reading = self.most_reading = self.working = 0
        self.most_working = 0
        self._lock = threading.Lock()

    def read(self, item: Item, max_bytes: int, admit: Admit | None = None) -> tuple[bytes, Item]:
        assert admit
        size = self.sizes[item.uri]
        self._add(0, 1)
        admit(size)
        self._add(size, 0)
        time.sleep(0)  # another's turn
        self._add(0, -1)
        return item.uri.encode(), item

    def result(self, content: bytes | Unreadable, query: Query) -> Result:
        assert isinstance(content, bytes)
        with self._lock:
            self.working += 1
            self.most_working = max(self.most_working, self.working)
        time.sleep(0)
        with self._lock:
            self.working -= 1
        self._add(-self.sizes[content.decode()], 0)
        return Failure("corrupt", "", content.decode(), None, "m")

    def _add(self, size: int, reading: int) -> None:
        with self._lock:
            self.held += size
            self.peak = max(self.peak, self.held)
            self.reading += reading
            self.most_reading = max(self.most_reading, self.reading)


def classifier_of(memory: Memory) -> Classifier:
    return cast(Classifier, memory)


@pytest.mark.parametrize(("threads", "at_a_time"), [(1, 1), (3, 16), (32, 4), (8, 64)])
def test_what_is_held_is_bounded_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, at_a_time: int
) -> None:
    """With sizes that are known, not known, and wrong: large ones and small ones."""
    draw = random.Random(threads)
    sizes = {f"gs://b/{n}": draw.choice([1000, 3 * MEGABYTE, 60 * MEGABYTE]) for n in range(200)}
    items = [Item(uri, size=draw.choice([None, size, 500])) for uri, size in sizes.items()]
    memory = Memory(threads, sizes)
    monkeypatch.setattr("flowers_onnx.storage.images.store_for", lambda _uri: memory)
    done = list(classified(items, classifier_of(memory), Query(), at_a_time))
    assert Counter(item.uri for item, *_ in done) == Counter(list(sizes))
    assert memory.peak <= MAX_BYTES
    assert memory.most_reading <= at_a_time
    assert memory.most_working <= threads


def test_an_early_end_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {f"gs://b/{n}": 60 * MEGABYTE for n in range(100)}
    memory = Memory(2, sizes)
    monkeypatch.setattr("flowers_onnx.storage.images.store_for", lambda _uri: memory)
    results = classified(map(Item, sizes), classifier_of(memory), Query(), 8)
    next(results)
    cast(Any, results).close()
    wait_until(lambda: not any(one.name.startswith("flowers-w") for one in threading.enumerate()))
    assert memory.reading >= 0


@pytest.mark.parametrize("given", [0, 1, 2, 5])
def test_fewer_threads_do_the_same_work(monkeypatch: pytest.MonkeyPatch, given: int) -> None:
    left = [None] * given
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    sizes = {f"gs://b/{n}": 1000 for n in range(50)}
    memory = Memory(3, sizes)
    monkeypatch.setattr("flowers_onnx.storage.images.store_for", lambda _uri: memory)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = [each[0].uri for each in classified(map(Item, sizes), classifier_of(memory), Query(), 4)]
    assert sorted(done) == sorted(sizes)

    def broken() -> Iterator[Item]:
        yield Item("gs://b/1")
        raise LookupError("no second page")

    with pytest.raises(LookupError):
        list(classified(broken(), classifier_of(memory), Query(), 4))


@posix
@needs("strace")
def test_a_system_without_threads(tmp_path: Path) -> None:
    """As at a limit of processes: every thread is refused."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").symlink_to(SAMPLE)
    inject = ["-f", "-qq", "-e", "trace=clone,clone3", "-e", "inject=clone,clone3:error=EAGAIN"]
    log = tmp_path / "strace.log"
    done = subprocess.run(
        ["strace", *inject, "-o", log, FLOWERS, "batch", tmp_path, "--out", "r.jsonl"],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
    )
    if b"may not trace" in done.stderr or b"Operation not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert (done.returncode, done.stderr[:27]) == (0, b"flowers: 3 named, 0 failed;"), done.stderr
    assert b"INJECTED" in log.read_bytes()


#: Runs the command line of this process's program, and tells its peak in MiB.
PEAK = """
import sys
from flowers_onnx.cli import main
from flowers_onnx.machine import peak_rss
code = main.main(sys.argv[1:])
print(peak_rss())
sys.exit(code)
"""


def peak(folder: Path, *words: str, env: dict[str, str] | None = None) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "batch", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return float(done.stdout)


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small photos in files of 45 MB: what a decoder doesn't look at is read all the same."""
    folder = tmp_path_factory.mktemp("heavy")
    for number in range(5):
        path = folder / f"{number}.jpg"
        path.write_bytes(SAMPLE.read_bytes())
        os.truncate(path, 45 * MEGABYTE)  # a hole, which takes no disk
    return folder


@pytest.fixture(scope="module")
def heavy_bucket(gcs: Fake, heavy: Path) -> Fake:
    gcs.create("heavy")
    gcs.load("heavy", heavy)
    return gcs


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["list of files", "list of objects", "bucket"])
def test_a_run_holds_one_large_file_at_a_time(
    heavy: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    env = dict(os.environ)
    names = [str(path) for path in sorted(heavy.iterdir())]
    words = ["--from", "list.txt"]
    if kind != "list of files":
        env |= request.getfixturevalue("heavy_bucket").env
        words = ["gs://heavy/"] if kind == "bucket" else words
        names = [f"gs://heavy/{Path(name).name}" for name in names]
    (tmp_path / "list.txt").write_text("\n".join(names))
    # All of them would be 225 MB, beside the 90 of the program.
    assert peak(tmp_path, *words, "--out", "r.jsonl", "--threads", "8", env=env) < 205
