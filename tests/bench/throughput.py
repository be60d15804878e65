"""How much of the machine a folder run turns into answers.

    python tests/bench/throughput.py FOLDER [--rounds 10] [--photos 400]

The ideal is the number of CPUs over the CPU seconds that decoding and inference of a photo take
alone, on one thread. Three ways take turns on the same photos of FOLDER: that bare work, a run over
all CPUs, and two runs that should be equal, one told to use one thread and one that is
pinned to a single CPU.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable

import fire

from flowers_onnx import Classifier
from flowers_onnx.machine import allowed_cpus
from flowers_onnx.pixels import decode
from flowers_onnx.runtime import Session
from flowers_onnx.sources import expand


def main(folder: str, *, rounds: int = 10, photos: int = 400) -> None:
    """Print CPU seconds and photos a second, and the share of the ideal."""
    found = (path for path in expand([folder], None) if isinstance(path, str))
    paths = list(itertools.islice(found, photos))
    cpus = allowed_cpus()
    bare = _bare(paths)
    everything, one_thread = (Classifier(threads=count) for count in (cpus, 1))
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mask)})
    one_cpu = Classifier()
    os.sched_setaffinity(0, mask)

    def folder_run(classifier: Classifier) -> None:
        for result in classifier.classify_many(paths):
            if not result.ok:
                raise SystemExit(f"throughput.py: {result.path} failed")

    def pinned() -> None:
        os.sched_setaffinity(0, {min(mask)})
        folder_run(one_cpu)
        os.sched_setaffinity(0, mask)

    ways: dict[str, Callable[[], None]] = {
        "bare": bare,
        "folder": lambda: folder_run(everything),
        "one thread": lambda: folder_run(one_thread),
        "one CPU": pinned,
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, work in ways.items():
            started, used = time.perf_counter(), time.process_time()
            work()
            if turn:  # the first turn warms up
                wall[name].append((time.perf_counter() - started) / len(paths))
                cpu[name].append((time.process_time() - used) / len(paths))
    for name in ways:
        rate, milliseconds = 1 / statistics.median(wall[name]), statistics.median(cpu[name]) * 1e3
        print(f"{name:<11}{rate:7.1f} photos/s {milliseconds:7.2f} ms of CPU a photo")
    ideal = [cpus / seconds for seconds in cpu["bare"]]
    shares = [1 / seconds / best for seconds, best in zip(wall["folder"], ideal, strict=True)]
    print(f"folder / ideal of {cpus} CPUs: {statistics.median(shares):.3f}")
    slower = [a / b for a, b in zip(wall["one CPU"], wall["one thread"], strict=True)]
    print(f"one CPU / one thread: {statistics.median(slower):.3f}")


def _bare(paths: list[str]) -> Callable[[], None]:
    """Decoding and inference, and nothing else."""
    info = Classifier(threads=1).info
    session = Session(info)

    def work() -> None:
        for path in paths:
            with open(path, "rb") as file:
                session.answer(decode(file, info.preprocess).pixels)

    return work


if __name__ == "__main__":
    fire.Fire(main)
