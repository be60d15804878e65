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

from flowers_onnx.onnx_file import find_model

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def main(runs: int = 20, tensorflow: str = "", photo: str = "", keras_model: str = "") -> None:
    """Print median seconds and peak memory of each program, and the ratios."""
    photo = photo or str(ROOT / "docs" / "sample" / "dahlia.jpg")
    keras_model = keras_model or str(ROOT / "model" / "flowers.keras")
    flowers = [str(Path(sys.executable).with_name("flowers")), "classify", photo]
    programs = {
        "bare script": [sys.executable, str(HERE / "bare.py"), find_model(), photo],
        "flowers": flowers,
        "flowers --version": [flowers[0], "--version"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    measured = _interleave(programs, runs)
    _print_ratio(measured, "flowers", "bare script")
    _print_ratio(measured, "flowers --version", "python -c pass")
    if tensorflow:
        original = [tensorflow, str(HERE / "original.py"), keras_model, photo]
        measured = _interleave({"TensorFlow": original, "flowers": flowers}, max(3, runs // 4))
        _print_ratio(measured, "TensorFlow", "flowers")


def _interleave(programs: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Seconds of each program, run in turns; the first turn fills the page cache."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    peak = dict.fromkeys(programs, 0)
    for turn in range(runs + 1):
        for name, command in programs.items():
            elapsed, kilobytes = _run(command)
            peak[name] = max(peak[name], kilobytes)
            if turn:
                seconds[name].append(elapsed)
    for name, values in seconds.items():
        median, megabytes = statistics.median(values), peak[name] / 1024
        print(f"{name:<18} {median:7.3f} s (min {min(values):.3f}) {megabytes:5.0f} MB")
    return seconds


def _print_ratio(seconds: dict[str, list[float]], first: str, second: str) -> None:
    ratios = [a / b for a, b in zip(seconds[first], seconds[second], strict=True)]
    print(f"{first} / {second}: {statistics.median(ratios):.2f}")


def _run(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident kilobytes of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}")
    return elapsed, usage.ru_maxrss


if __name__ == "__main__":
    fire.Fire(main)
