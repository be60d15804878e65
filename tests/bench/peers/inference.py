"""Inference alone: this program beside other runtimes, on the same pixels.

    python tests/bench/peers/inference.py FOLDER DATA [--threads 1,2] [--photos 204]
        [--rounds 30] [--block 20] [--only a,b] [--json FILE]

``FOLDER`` is that of peer_files.py. Every engine is a process of its own, and they take turns of
``--block`` photos, so that a busy moment of the machine hits all alike; a ratio is the median
over the rounds of (this engine's median / the median of ``flowers`` in the same round). Top-1 is
measured on the same files, so that a fast but broken one is seen; processor time (``CPU ms``, all
threads) shows what spinning costs, and is steadier on a busy machine. Markdown on stdout.
"""

from __future__ import annotations

import math
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from json import dumps, loads
from pathlib import Path
from typing import Any

import engines
import fire
import numpy as np
from ratios import markdown, ratio_text

from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.pixels import decode

HERE = Path(__file__).parent
BASE = "flowers"
_PACKAGES = ("onnxruntime", "ai-edge-litert", "openvino", "nncf", "tensorflow-cpu", "keras")
#: Default thread pools spin for a moment after a run; the next engine should not pay for it.
_SETTLE_SECONDS = 0.02
#: A turn of an engine that needs a second a photo ends early.
_TURN_SECONDS = 1.0


@dataclass
class Measured:
    """What one engine did with ``threads`` threads."""

    engine: str
    threads: int
    file_mb: float
    top1: float = 0.0
    peak_mb: float = 0.0
    ms: list[list[float]] = field(default_factory=list)  # one list a round
    cpu_ms: list[float] = field(default_factory=list)  # one mean a round

    def medians(self) -> list[float]:
        """One median a round, in milliseconds."""
        return [float(np.median(block)) for block in self.ms]


def main(
    folder: str,
    data: str,
    *,
    threads: int | Sequence[int] = (1, 2),
    photos: int = 204,
    rounds: int = 30,
    block: int = 20,
    only: str | Sequence[str] = "",
    json: str = "",
) -> None:
    """Measure and print; ``--only`` chooses engines, ``--json`` keeps every sample."""
    chosen = _names(only) or list(engines.ENGINES)
    if BASE not in chosen:
        chosen.insert(0, BASE)
    results: list[Measured] = []
    with tempfile.TemporaryDirectory() as scratch:
        pixels = Path(scratch, "photos")
        truth = _write_photos(Path(data), photos, pixels)
        for count in [threads] if isinstance(threads, int) else threads:
            measured = [
                Measured(name, count, _megabytes(engines.model_file(name, Path(folder))))
                for name in chosen
            ]
            with ExitStack() as stack:
                workers = {name: _start(stack, name, count, folder, str(pixels)) for name in chosen}
                _measure(workers, measured, truth, rounds=rounds, block=block)
            print(f"{count} thread{'s' if count > 1 else ''}:\n\n{_table(measured)}\n", flush=True)
            results += measured
    if json:
        facts = {
            "cpu": _cpu(),
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in _PACKAGES},
            "photos": photos,
        }
        content = {**facts, "results": [asdict(result) for result in results]}
        Path(json).write_text(dumps(content))


def _names(names: str | Sequence[str]) -> list[str]:
    listed = names.split(",") if isinstance(names, str) else list(names)
    found = [name for name in listed if name]
    if unknown := set(found) - engines.ENGINES.keys():
        raise SystemExit(f"no engine {sorted(unknown)}; choose from {sorted(engines.ENGINES)}")
    return found


def _write_photos(data: Path, count: int, target: Path) -> list[int]:
    """Write the pixels of ``count`` validation photos; returns their class indices."""
    info = read_info(find_model(None))
    folders = [sorted((data / "valid" / str(label.class_id)).iterdir()) for label in info.labels]
    found = [(path, index) for index, paths in enumerate(folders) for path in paths]
    # Every n-th: all classes, in a fixed order.
    chosen = [found[i * len(found) // count] for i in range(min(count, len(found)))]
    with target.open("wb") as out:
        for path, _ in chosen:
            with path.open("rb") as file:
                out.write(decode(file, info.preprocess).pixels.tobytes())
    return [index for _, index in chosen]


def _measure(
    workers: dict[str, subprocess.Popen[str]],
    results: list[Measured],
    truth: list[int],
    *,
    rounds: int,
    block: int,
) -> None:
    """Fill ``results``, one for each of the running ``workers``."""
    for result in results:  # also the warm-up
        classes = _turn(workers[result.engine], 0, len(truth), math.inf)["classes"]
        result.top1 = float(np.mean(np.array(classes) == truth))
    order = random.Random(0)
    for turn in range(rounds):
        first = turn * block % max(1, len(truth) - block)
        for result in order.sample(results, len(results)):
            worker = workers[result.engine]
            answer = _turn(worker, first, min(block, len(truth)), _TURN_SECONDS)
            result.ms.append(answer["ms"])
            result.cpu_ms.append(answer["cpu_ms"])
            result.peak_mb = answer["peak_mb"]
        print(f"\rround {turn + 1} of {rounds}", end="", file=sys.stderr)
    print(file=sys.stderr)


def _start(stack: ExitStack, name: str, threads: int, *paths: str) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, str(HERE / "worker.py"), name, str(threads), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    stack.enter_context(worker)  # closes stdin, which ends it
    if worker.stdout is None or worker.stdout.readline() != "ready\n":
        raise SystemExit(f"{name} did not start; run worker.py by hand to see why")
    return worker


def _megabytes(file: Path) -> float:
    parts = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    return sum(part.stat().st_size for part in parts) / 1e6


def _turn(worker: subprocess.Popen[str], first: int, count: int, seconds: float) -> Any:
    time.sleep(_SETTLE_SECONDS)
    if worker.stdin is None or worker.stdout is None:
        raise SystemExit("a worker has no pipes")
    print(dumps([first, count, seconds]), file=worker.stdin, flush=True)
    return loads(worker.stdout.readline())


def _table(results: list[Measured]) -> str:
    base = next(result for result in results if result.engine == BASE)
    rows = []
    for result in sorted(results, key=lambda found: np.median(found.medians())):
        p50, p90 = np.percentile(np.concatenate(result.ms), [50, 90])
        rows.append(
            [
                result.engine,
                f"{p50:.1f}",
                f"{p90:.1f}",
                ratio_text(result.medians(), base.medians()),
                f"{np.median(result.cpu_ms):.1f}",
                ratio_text(result.cpu_ms, base.cpu_ms),
                f"{100 * result.top1:.1f} %",
                f"{result.file_mb:.1f}",
                f"{result.peak_mb:.0f}",
            ]
        )
    header = [
        "engine",
        "p50 ms",
        "p90 ms",
        f"/ {BASE}",
        "CPU ms",
        f"/ {BASE}",
        "top-1",
        "file MB",
        "peak MB",
    ]
    return markdown(header, rows)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    fire.Fire(main)
