"""What a photo costs another program: one-shot, as a child process, or in its own process.

    PYTHONPATH=docs/clients python tests/bench/embedding.py [--rounds 10] [--photos 40]
        [--folder DIR]

Run it with the Python in which ``flowers_onnx`` is installed, on Linux. The ways take turns, so
that a busy moment of the machine hits them alike; the ratio, to the library called for one photo
at a time, is the median of the ratios of each turn. The child process is asked through the client
that ``docs/embedding.md`` offers, whose own CPU time counts.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import fire
from flowers_process import FlowersProcess

ROOT = Path(__file__).parent.parent.parent
FLOWERS = str(Path(sys.executable).with_name("flowers"))
IN_PROCESS = str(Path(__file__).with_name("in_process.py"))
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Way:
    """One way to have photos classified, and what was measured: milliseconds, megabytes."""

    name: str
    classify: Callable[[list[str]], object]
    start_ms: float = 0
    pid: int = 0  #: of the process that lives as long as the measurement
    share: int = 1  #: takes every n-th photo only
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0

    def measure(self, photos: list[str]) -> None:
        """Add the wall and CPU time of one photo, the mean of ``photos``."""
        photos = photos[:: self.share]
        cpu, started = self._cpu_seconds(), time.perf_counter()
        self.classify(photos)
        self.wall_ms.append((time.perf_counter() - started) / len(photos) * 1e3)
        self.cpu_ms.append((self._cpu_seconds() - cpu) / len(photos) * 1e3)

    def _cpu_seconds(self) -> float:
        """Of this process, of its children that have ended and of the one that lives."""
        own = os.times()
        seconds = own.user + own.system + own.children_user + own.children_system
        if self.pid:
            stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(stat[11]) + int(stat[12])) / TICKS
        return seconds

    def row(self, yardstick: Way) -> str:
        if self.pid:
            status = Path(f"/proc/{self.pid}/status").read_text()
            self.peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        wall, cpu = statistics.median(self.wall_ms), statistics.median(self.cpu_ms)
        pairs = zip(self.wall_ms, yardstick.wall_ms, strict=True)
        ratio = statistics.median(mine / other for mine, other in pairs)
        start = f"{self.start_ms:.0f}" if self.start_ms else "-"
        return (
            f"| {self.name} | {start} | {wall:.1f} | {ratio:.2f} | {cpu:.1f} | {self.peak_mb:.0f} |"
        )


def main(rounds: int = 10, photos: int = 40, folder: str = "") -> None:
    """Print a Markdown table: milliseconds of one photo, wall and CPU, and peak memory.

    Args:
        rounds: how often each way takes its turn.
        photos: how many photos a turn has; one-shot takes a tenth of them.
        folder: take the JPEG files below it in place of the sample photo.

    """
    found = sorted(map(str, Path(folder).rglob("*.jpg"))) if folder else []
    batch = list(islice(cycle(found or [str(ROOT / "docs/sample/dahlia.jpg")]), photos))
    with contextlib.ExitStack() as stack:
        ways = [
            _one_shot(),
            stack.enter_context(_stream(at_once=False)),
            stack.enter_context(_stream(at_once=True)),
            stack.enter_context(_in_process("one")),
            stack.enter_context(_in_process("many")),
        ]
        for turn in range(rounds + 1):
            for way in ways:
                way.measure(batch)
                if turn == 0:  # fills the page cache
                    way.wall_ms.clear()
                    way.cpu_ms.clear()
        print("| way | start, ms | ms a photo | ratio | CPU ms a photo | peak MB |")
        print("|---|---|---|---|---|---|")
        for way in ways:
            print(way.row(yardstick=ways[3]))


def _one_shot() -> Way:
    def classify(photos: list[str]) -> None:
        for photo in photos:
            command = [FLOWERS, "classify", photo]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{command} failed with {process.returncode}")
            way.peak_mb = max(way.peak_mb, usage.ru_maxrss / 1024)

    way = Way("`flowers classify`, a process a photo", classify, share=10)
    return way


@contextlib.contextmanager
def _stream(*, at_once: bool) -> Iterator[Way]:
    started = time.perf_counter()
    with (
        FlowersProcess([FLOWERS, "stream"]) as flowers,
        ThreadPoolExecutor(flowers.in_flight) as threads,
    ):
        start_ms = (time.perf_counter() - started) * 1e3

        def classify(photos: list[str]) -> None:
            spread = threads.map if at_once else map
            records = list(spread(flowers.classify, photos))
            assert all(record["status"] == "ok" for record in records)

        name = f"`flowers stream`, {flowers.in_flight if at_once else 'one'} in flight"
        yield Way(name, classify, start_ms, flowers.ready["pid"])


@contextlib.contextmanager
def _in_process(how: str) -> Iterator[Way]:
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, IN_PROCESS, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout
        assert stdout.readline() == "ready\n"
        start_ms = (time.perf_counter() - started) * 1e3

        def classify(photos: list[str]) -> None:
            print("".join(f"{photo}\0" for photo in photos), file=stdin, flush=True)
            assert int(stdout.readline()) == len(photos)

        name = {"one": "`classify`, one at a time", "many": "`classify_many`"}[how]
        yield Way(f"Python, {name}", classify, start_ms, process.pid)
        stdin.close()


if __name__ == "__main__":
    fire.Fire(main)
