"""What each onnxruntime option is worth: loading, the first photo, the next ones, memory.

    python tests/bench/session.py [--runs 15] [--model FILE,FILE...]

Every variant is a new process, and they take turns. Loading and the first run are CPU
milliseconds, since a one-shot program on a small machine pays for all its threads; the next
runs are the median of the wall time of 40.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import fire
import numpy as np

from flowers_onnx.onnx_file import find_model

_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Variant:
    """Session options; the defaults are those of ``flowers_onnx/runtime.py``."""

    level: str = "ENABLE_ALL"
    threads: int = 1
    arena: bool = False
    io_binding: bool = False
    entries: dict[str, str] = field(default_factory=dict)


VARIANTS = {
    "as the program does": Variant(),
    "without prepacking": Variant(entries={"session.disable_prepacking": "1"}),
    "optimised to EXTENDED": Variant(level="ENABLE_EXTENDED"),
    "not optimised": Variant(level="DISABLE_ALL"),
    "with an arena": Variant(arena=True),
    "IO binding": Variant(io_binding=True),
    "exact sums (x64quantprecision)": Variant(entries={"session.x64quantprecision": "1"}),
    "2 threads that don't spin": Variant(
        threads=2, entries={"session.intra_op.allow_spinning": "0"}
    ),
    "2 threads that spin": Variant(threads=2),
}


def main(runs: int = 15, model: str | Sequence[str] = "") -> None:
    """Print one line a variant and model file."""
    models = model.split(",") if isinstance(model, str) else list(model)
    files = [name or find_model() for name in models]
    cases = {(file, name): variant for file in files for name, variant in VARIANTS.items()}
    found: dict[tuple[str, str], list[dict[str, float]]] = {case: [] for case in cases}
    for turn in range(runs + 1):
        for (file, name), variant in cases.items():
            job = json.dumps({"file": file, **asdict(variant)})
            done = subprocess.run(
                [sys.executable, __file__, "--job"], input=job, stdout=-1, text=True, check=True
            )
            if turn:  # the first turn fills the page cache
                found[file, name].append(json.loads(done.stdout))
    print(f"{'':<32}{'load':>8}{'first':>8}{'next':>8}{'MB':>8}")
    for file in files:
        print(f"{file} ({os.path.getsize(file) / 1e6:.1f} MB)")
        for name in VARIANTS:
            rows = found[file, name]
            figures = [statistics.median(row[key] for row in rows) for key in rows[0]]
            print(f"  {name:<30}" + "".join(f"{figure:8.2f}" for figure in figures))


def measure(file: str, variant: Variant) -> dict[str, float]:
    """CPU ms to load and of the first run, wall ms of the next ones, peak MB."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{variant.level}")
    options.intra_op_num_threads, options.inter_op_num_threads = variant.threads, 1
    options.enable_cpu_mem_arena = variant.arena
    options.log_severity_level = _ERRORS_ONLY
    for key, value in variant.entries.items():
        options.add_session_config_entry(key, value)
    started = time.process_time()
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    loaded = time.process_time()
    side = session.get_inputs()[0].shape[1]
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    run = _runner(session, image, io_binding=variant.io_binding)
    run()
    first = time.process_time()
    wall = []
    for _ in range(40):
        before = time.perf_counter()
        run()
        wall.append(time.perf_counter() - before)
    return {
        "load": (loaded - started) * 1e3,
        "first": (first - loaded) * 1e3,
        "next": statistics.median(wall) * 1e3,
        "megabytes": _peak_megabytes(),
    }


def _runner(session: Any, image: np.ndarray, *, io_binding: bool) -> Any:
    if not io_binding:
        return lambda: session.run(["probabilities"], {"image": image})
    binding = session.io_binding()
    binding.bind_cpu_input("image", image)
    binding.bind_output("probabilities")
    return lambda: (session.run_with_iobinding(binding), binding.copy_outputs_to_cpu())


def _peak_megabytes() -> float:
    with open("/proc/self/status", encoding="utf-8") as file:
        status = dict(line.split(":", 1) for line in file)
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    if sys.argv[1:] == ["--job"]:
        job = json.load(sys.stdin)
        print(json.dumps(measure(job.pop("file"), Variant(**job))))
    else:
        fire.Fire(main)
