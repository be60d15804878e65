"""Compare an ONNX file's answers on this processor and on emulated ones.

    python export/crosscheck.py --model model/flowers.onnx --data DATA [--count 120]
        [--cpus Haswell,Nehalem] [--python PYTHON] [--out crosscheck.json]

Needs ``qemu-x86_64`` 7.2 or later (Debian: ``apt install qemu-user``); earlier versions
have no AVX2. A photo takes about a second there.

An int8 file can be right on one processor and wrong on the next: without VNNI the kernels
add products in a saturating int16. ``Haswell`` has AVX2 and nothing newer, ``Nehalem``
not even that. The reference is onnxruntime's slow mode that never saturates; every
processor must give the same answers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fire
import numpy as np
from dataset import Photo, class_ids, list_photos, spread

#: Of the probabilities: what float rounding in the last layers may change. Saturation
#: moves them by 0.9, and one label in eight.
TOLERANCE = 0.01
_REFERENCE = "exact sums"
#: Instruction sets by NumPy's names, newest first; only the first has VNNI.
_LEVELS = ("AVX512_ICL", "X86_V4", "AVX2", "AVX", "SSE42")
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Run:
    """One way of computing all photos, compared with the reference."""

    name: str
    simd: str
    accuracy: float
    same_label: float
    max_difference: float
    ms_per_photo: float

    @property
    def agrees(self) -> bool:
        """Whether the answers are the reference's."""
        return self.same_label == 1 and self.max_difference <= TOLERANCE


def main(
    *,
    model: str,
    data: str,
    count: int = 120,
    cpus: str | Sequence[str] = "Haswell",
    python: str = sys.executable,
    out: str = "",
) -> None:
    """Print one line a processor; exit 1 when one of them answers differently.

    Args:
        model: an ONNX file of ``convert.py`` or ``quantize.py``.
        data: a folder-per-class data set; ``count`` photos of ``data/valid`` are used.
        cpus: processors to emulate, names of ``qemu-x86_64 -cpu help``.
        python: an interpreter with onnxruntime, NumPy and Pillow, for every run.
        out: a JSON file for the figures and all probabilities.
    """
    root, emulator = Path(data), shutil.which("qemu-x86_64")
    if emulator is None:
        raise SystemExit("crosscheck: no qemu-x86_64 here (Debian: apt install qemu-user)")
    photos = spread(list_photos(root, "valid", class_ids(root)))[:count]
    launchers: dict[str, list[str]] = {_REFERENCE: [], "this processor": []}
    for cpu in cpus.split(",") if isinstance(cpus, str) else cpus:
        launchers[f"qemu -cpu {cpu}"] = [emulator, "-cpu", cpu]
    print(f"{len(photos)} photos; every run is compared with the first")
    print(f"{'run':<22}{'accuracy':>9}{'same label':>12}{'max diff':>10}{'ms/photo':>10}  SIMD")
    runs, answers = [], {}
    for name, launcher in launchers.items():
        answer = _predict([*launcher, python], model, photos, exact=name == _REFERENCE)
        answers[name] = answer["probabilities"]
        runs.append(_compare(name, answer, answers[_REFERENCE], photos))
        print(_line(runs[-1]), flush=True)
    if out:
        paths = [str(photo.path.relative_to(root)) for photo in photos]
        record = {"runs": [asdict(run) for run in runs], "photos": paths, "probabilities": answers}
        Path(out).write_text(json.dumps(record))
    if wrong := [run.name for run in runs if not run.agrees]:
        raise SystemExit(f"crosscheck: different answers on {', '.join(wrong)}")


def _predict(
    launcher: list[str], model: str, photos: list[Photo], *, exact: bool
) -> dict[str, Any]:
    job = {"model": model, "photos": [str(photo.path) for photo in photos], "exact": exact}
    done = subprocess.run(
        [*launcher, str(_HERE / "predict_photos.py")],
        input=json.dumps(job),
        env={**os.environ, "PYTHONPATH": str(_HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise SystemExit(f"crosscheck: {' '.join(launcher)} failed ({done.returncode}): {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _compare(
    name: str, answer: dict[str, Any], reference: list[list[float]], photos: list[Photo]
) -> Run:
    values, expected = np.array(answer["probabilities"]), np.array(reference)
    labels = values.argmax(axis=1)
    return Run(
        name=name,
        simd=next((level for level in _LEVELS if level in answer["simd"]), "SSE"),
        accuracy=float((labels == [photo.target for photo in photos]).mean()),
        same_label=float((labels == expected.argmax(axis=1)).mean()),
        max_difference=float(np.abs(values - expected).max()),
        ms_per_photo=1000 * answer["seconds"] / len(photos),
    )


def _line(run: Run) -> str:
    return (
        f"{run.name:<22}{100 * run.accuracy:>8.2f}%{100 * run.same_label:>11.2f}%"
        f"{run.max_difference:>10.4f}{run.ms_per_photo:>10.1f}  {run.simd}"
    )


if __name__ == "__main__":
    fire.Fire(main)
