"""One photo in a new process: this program beside a bare script and beside TensorFlow.

    python tests/bench/cold_start.py [--runs 20] [--tensorflow .venv-export/bin/python]

Run it with the Python in which ``flowers_onnx`` is installed. The programs take turns, so that a
busy moment of the machine hits them alike; ratios are medians of the ratios of each turn.
``--tensorflow`` names a Python that has it; without, that part is left out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import fire

from flowers_onnx.metadata import find_model

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def main(runs: int = 20, tensorflow: str = "", photo: str = "", keras_model: str = "") -> None:
    """Print the median seconds of each program and the ratios to the bare script."""
    photo = photo or str(ROOT / "docs" / "sample" / "flower.jpg")
    keras_model = keras_model or str(ROOT / "model" / "flowers.keras")
    flowers = Path(sys.executable).with_name("flowers")
    programs = {
        "bare script": [sys.executable, str(HERE / "bare.py"), str(find_model()), photo],
        "flowers": [str(flowers), "classify", photo],
        "flowers --version": [str(flowers), "--version"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(runs + 1):
        for name, command in programs.items():
            elapsed = _run(command)
            if turn:  # the first turn fills the page cache
                seconds[name].append(elapsed)
    if tensorflow:
        command = [tensorflow, str(HERE / "original.py"), keras_model, photo]
        _run(command)
        seconds["TensorFlow"] = [_run(command) for _ in range(5)]
        # One more turn of our own beside it, for a ratio of the same minute.
        seconds["flowers, beside it"] = [_run(programs["flowers"]) for _ in range(5)]
    for name, values in seconds.items():
        print(f"{name:<20} {statistics.median(values):7.3f} s  (min {min(values):.3f})")
    pairs = [("flowers", "bare script"), ("flowers --version", "python -c pass")]
    if tensorflow:
        pairs.append(("TensorFlow", "flowers, beside it"))
    for first, second in pairs:
        ratios = [a / b for a, b in zip(seconds[first], seconds[second], strict=True)]
        print(f"{first} / {second}: {statistics.median(ratios):.2f}")


def _run(command: list[str]) -> float:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=environment
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    fire.Fire(main)
