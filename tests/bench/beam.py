"""What Apache Beam's embedded runner adds to an image, and to the start of a process.

    python tests/bench/beam.py FOLDER [--photos 300] [--turns 5]

For a Python with the extra [beam]. ``classify``, ``batch`` and ``beam`` take turns, each on one
thread, with 20 photos of FOLDER and with ``--photos`` more: the difference is what an image
takes, the rest is the start. CPU seconds of the whole process; Markdown on stdout.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import fire

from flowers_onnx.sources import expand

_FLOWERS = str(Path(sys.executable).with_name("flowers"))
_FEW = 20

_WAYS = {
    "`flowers classify`": ["classify", "{photos}", "--threads", "1", "--out", "{out}.csv"],
    "`flowers batch`": ["batch", "{photos}", "--threads", "1", "--out", "{out}.jsonl"],
    "`flowers beam`, embedded runner, JSON Lines": ["beam", "{photos}", "--out", "{out}.jsonl"],
    "`flowers beam`, embedded runner, Parquet": ["beam", "{photos}", "--out", "{out}.parquet"],
}


def main(folder: str, *, photos: int = 300, turns: int = 5) -> None:
    """Print the start and the milliseconds an image of each way."""
    found = [path for path in expand([folder], None) if isinstance(path, str)]
    with tempfile.TemporaryDirectory() as place:
        for name, count in {"few": _FEW, "many": _FEW + photos}.items():
            Path(place, name).mkdir()
            for path in itertools.islice(found, count):
                (Path(place, name) / os.path.basename(path)).symlink_to(Path(path).resolve())
        starts: dict[str, list[float]] = {way: [] for way in _WAYS}
        images: dict[str, list[float]] = {way: [] for way in _WAYS}
        for turn in range(turns + 1):
            for way in _WAYS:
                few = _cpu_seconds(way, place, "few", turn)
                image = (_cpu_seconds(way, place, "many", turn) - few) / photos
                if turn:  # the first one fills the page cache
                    images[way].append(image)
                    starts[way].append(few - _FEW * image)
    base = images["`flowers classify`"]
    print("| | start | an image | against `classify` |\n|---|---|---|---|")
    for way in _WAYS:
        ratio = statistics.median(a / b for a, b in zip(images[way], base, strict=True))
        start, image = statistics.median(starts[way]), 1e3 * statistics.median(images[way])
        print(f"| {way} | {start:.2f} s | {image:.1f} ms | {ratio:.2f} |")


def _cpu_seconds(way: str, place: str, photos: str, turn: int) -> float:
    out = f"{place}/out-{list(_WAYS).index(way)}-{photos}-{turn}"
    words = [word.format(photos=f"{place}/{photos}", out=out) for word in _WAYS[way]]
    process = subprocess.Popen([_FLOWERS, *words], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"flowers {' '.join(words)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    fire.Fire(main)
