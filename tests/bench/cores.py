"""What a second core is worth to a photo that is alone, and what it costs a folder.

    python tests/bench/cores.py [FOLDER] [--rounds 30] [--block 10] [--photos 100] [--cores 2]

Four parts, in one process. *One photo at a time*, inference alone: sessions on one core, on
``--cores`` as the program makes them, and on as many that spin, take turns of ``--block`` runs; a
ratio is the median over the rounds, with a 95 % interval, of wall and of CPU time. *From file
to answer*: ``classify`` of a classifier that may use one core, and of one that may use them all.
*A folder*: ``classify_many`` as it is, beside one whose photos never take more than one core.
*The second session*: what it takes to make it, and MB. FOLDER holds photos; without, the sample.
On a busy machine all of it says little: heed the intervals.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))

import fire
import numpy as np
import onnxruntime as ort
from ratios import ratio_text

from flowers_onnx import Classifier, network
from flowers_onnx.machine import allowed_cpus
from flowers_onnx.network import PHOTOS, Network
from flowers_onnx.sources import expand

_SAMPLE = Path(__file__).parents[2] / "docs" / "sample" / "dahlia.jpg"
#: Enough runs of one photo after the other for all sessions to be there.
_WARM = 20


def main(
    folder: str = "", *, rounds: int = 30, block: int = 10, photos: int = 100, cores: int = 2
) -> None:
    """Print a table a part."""
    if allowed_cpus() < cores:
        raise SystemExit(f"cores.py: {allowed_cpus()} CPUs are allowed here, not {cores}")
    network.MAX_CORES = cores
    found = (path for path in expand([folder or str(_SAMPLE)], None) if isinstance(path, str))
    paths = list(itertools.islice(found, photos))
    paths *= -(-photos // len(paths))
    model, size = _model()
    _session(model, cores)

    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    one, several = Network(model, 1), Network(model, cores)
    spinning = _spinning(model, cores)
    feeds = {"image": image}
    outputs = [each.name for each in one.get_outputs() if each.name != "features"]

    def alone(run: Callable[..., Any]) -> Callable[[], None]:
        def work() -> None:
            with PHOTOS:
                run(outputs, feeds)

        return work

    _turns(
        "one photo at a time, inference",
        {
            "1 core": alone(one.run),
            f"{cores} cores": alone(several.run),
            f"{cores} cores, spinning": alone(spinning.run),
        },
        rounds,
        block,
    )

    turn = itertools.cycle(paths)
    single, free = Classifier(threads=1), Classifier(threads=cores)
    _turns(
        "one photo at a time, from file to answer",
        {
            "1 core": lambda: single.classify(next(turn)),
            f"{cores} cores": lambda: free.classify(next(turn)),
        },
        rounds,
        block,
    )

    network.MAX_CORES = 1
    never = Classifier(threads=cores)

    def all_of(classifier: Classifier) -> Callable[[], None]:
        def work() -> None:
            for result in classifier.classify_many(paths):
                if not result.ok:
                    raise SystemExit(f"cores.py: {result.path} failed")

        return work

    _turns(
        f"a folder of {len(paths)} photos, {cores} threads; ms a photo",
        {"always 1 core a photo": all_of(never), "as it is": all_of(free)},
        rounds,
        1,
        len(paths),
    )


def _model() -> tuple[str, int]:
    info = Classifier(threads=1).info
    return info.path, info.preprocess.size


def _session(model: str, cores: int) -> None:
    """What the second session takes: made after the first, as the program does."""
    made, first = Network(model, cores), _resident()
    image = np.zeros((1, *made.get_inputs()[0].shape[1:]), np.uint8)
    wall, cpu = list[float](), list[float]()
    for _ in range(_WARM):
        started, used = time.perf_counter(), time.process_time()
        with PHOTOS:
            made.run(["probabilities"], {"image": image})
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
        if len(wall) == 5:
            first = _resident()
    slowest = wall.index(max(wall[2:]))
    print(
        f"the second session: {(_resident() - first):.1f} MB; the photo that it is made for takes "
        f"{max(wall[2:]) * 1e3:.0f} ms ({cpu[slowest] * 1e3:.0f} ms of CPU), "
        f"others {statistics.median(wall) * 1e3:.1f}\n"
    )


def _spinning(model: str, cores: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = cores, 1
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _turns(
    title: str, ways: dict[str, Callable[[], object]], rounds: int, block: int, photos: int = 1
) -> None:
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        for _ in range(_WARM if photos == 1 else 1):
            work()
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            time.sleep(0.02)  # who spins goes on for a moment
            taken, used = list[float](), time.process_time()
            for _ in range(block):
                started = time.perf_counter()
                ways[name]()
                taken.append((time.perf_counter() - started) * 1e3 / photos)
            wall[name].append(statistics.median(taken))
            cpu[name].append((time.process_time() - used) * 1e3 / block / photos)
    base = next(iter(ways))
    print(f"{title}\n{'':<24}{'ms':>7}  {'/ ' + base:<24}{'CPU ms':>7}  / {base}")
    for name in ways:
        print(
            f"{name:<24}{statistics.median(wall[name]):7.2f}  "
            f"{ratio_text(wall[name], wall[base]):<24}{statistics.median(cpu[name]):7.2f}  "
            f"{ratio_text(cpu[name], cpu[base])}"
        )
    print(flush=True)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    fire.Fire(main)
