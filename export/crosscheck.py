"""Compare an ONNX file's answers on this processor and on emulated ones.

    python export/crosscheck.py DATA --model model/flowers.onnx [--count 120]
        [--cpus Haswell,Nehalem] [--python PYTHON] [--out crosscheck.json]

Needs ``qemu-x86_64`` 7.2 or later (Debian: ``apt install qemu-user``); earlier versions
have no AVX2. A photo takes about a second there.

``Haswell`` has AVX2 and nothing newer, ``Nehalem`` not even that. The reference is made
on the spot, so that a new model can be tried before its answers are recorded; see
``answers.py``, which also says what counts as equal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

_SCRIPT = Path(__file__).resolve().parent / "answers.py"


def main(
    data: str,
    *,
    model: str,
    count: int = 120,
    cpus: str | Sequence[str] = "Haswell",
    python: str = sys.executable,
    out: str = "",
) -> None:
    """Print one line a processor; exit 1 when one of them answers differently.

    Args:
        data: a folder-per-class data set; ``count`` photos of ``data/valid`` are used.
        model: an ONNX file of ``convert.py`` or ``quantize.py``.
        cpus: processors to emulate, names of ``qemu-x86_64 -cpu help``.
        python: an interpreter with onnxruntime, NumPy, Pillow and Fire, for every run.
        out: a JSON file for the figures.
    """
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        raise SystemExit("crosscheck: no qemu-x86_64 here (Debian: apt install qemu-user)")
    launchers: dict[str, list[str]] = {"this processor": []}
    for cpu in cpus.split(",") if isinstance(cpus, str) else cpus:
        launchers[f"qemu -cpu {cpu}"] = [emulator, "-cpu", cpu]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        reference = f"{folder}/answers.json"
        job = [data, "--model", model]
        chosen = ["--photos", str(count), "--drawn", "0"]
        _run([python, str(_SCRIPT), "record", *job, *chosen, "--out", reference])
        print(f"{'run':<20}{'pictures':>9}{'same label':>12}{'max diff':>10}{'ms':>8}  SIMD")
        for name, launcher in launchers.items():
            check = ["check", *job, "--reference", reference, "--format", "json"]
            report = json.loads(_run([*launcher, python, str(_SCRIPT), *check], allowed=(0, 1)))
            runs.append({"name": name, **report})
            print(_line(runs[-1]), flush=True)
    if out:
        Path(out).write_text(json.dumps(runs))
    if wrong := [run["name"] for run in runs if not run["agrees"]]:
        raise SystemExit(f"crosscheck: different answers on {', '.join(wrong)}")


def _run(command: list[str], allowed: Sequence[int] = (0,)) -> str:
    """The command's stdout; exit 1 of a check is an answer if there is one."""
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(_SCRIPT.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in allowed or (done.returncode != 0 and not done.stdout):
        last = done.stderr.strip().rpartition("\n")[2]
        raise SystemExit(f"crosscheck: {' '.join(command)} failed ({done.returncode}): {last}")
    return done.stdout


def _line(run: dict[str, Any]) -> str:
    same = run["pictures"] - len(run["missing"]) - len(run["other_label"])
    return (
        f"{run['name']:<20}{run['pictures']:>9}{same:>12}{run['max_difference']:>10.4f}"
        f"{run['ms_per_picture']:>8.1f}  {run['simd']}"
    )


if __name__ == "__main__":
    fire.Fire(main)
