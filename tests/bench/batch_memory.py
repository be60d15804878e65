"""The most memory that ``flowers batch`` takes: large files, from everywhere, by many threads.

    PYTHONPATH=tests python tests/bench/batch_memory.py [--photos 40] [--most 400]

The photos are one PNG of noise, 20.6 megapixels in 62 MB, under many names: next to the most that
a file may have, and more than most cost to decode. They come from a folder, from a list that tells
no sizes, and from a fake bucket, also by a list; ``flowers classify`` reads the folder too. For
each it prints the most resident memory (RSS, which counts the pages of libraries) and the largest
share of it that was ours alone (PSS), in MB. The exit code is 1 if the first is above ``--most``.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import fire
from fakes.gcs import fake_gcs
from PIL import Image

_FLOWERS = Path(sys.executable).with_name("flowers")
_SIZE = 4800, 4300
_OPTIONS: tuple[list[str], ...] = ([], ["--threads", "8"], ["--threads", "32", "--fetch", "64"])


class Peak(NamedTuple):
    """In MB."""

    rss: float
    pss: float


def main(*, photos: int = 40, most: int = 400) -> None:
    """Print both for each way to the photos, and for each number of threads."""
    highest = 0.0
    with tempfile.TemporaryDirectory() as place, fake_gcs() as gcs:
        os.environ.update(gcs.env)
        album = Path(place, "photos")
        album.mkdir()
        width, height = _SIZE
        noise = Image.frombytes("RGB", _SIZE, os.urandom(3 * width * height))
        noise.save(album / "00.png", compress_level=0)
        del noise
        gcs.create("photos")
        gcs.load("photos", album)
        names = [f"{number:02}.png" for number in range(photos)]
        for folder in (album, Path(gcs.root, "photos")):
            for name in names[1:]:
                os.link(folder / "00.png", folder / name)
        _write_list(Path(place, "files.txt"), f"{album}/", names)
        _write_list(Path(place, "objects.txt"), "gs://photos/", names)
        ways = {
            "folder": ["batch", str(album)],
            "list of files": ["batch", "--from", "files.txt"],
            "bucket": ["batch", "gs://photos/"],
            "list of objects": ["batch", "--from", "objects.txt"],
            "bucket to Parquet": ["batch", "gs://photos/"],
            "classify": ["classify", str(album), "--format", "jsonl"],
        }
        for way, words in ways.items():
            for options in _OPTIONS:
                given = options[:2] if way == "classify" else options
                result = "r.parquet" if "Parquet" in way else "r.jsonl"
                out = ["--out", result] * (way != "classify")
                peak = _peak([_FLOWERS, *words, *out, *given], place)
                highest = max(highest, peak.rss)
                text = f"{way} {' '.join(given)}"
                print(f"{text:45} RSS {peak.rss:4.0f}  PSS {peak.pss:4.0f} MB", flush=True)
                Path(place, result).unlink(missing_ok=True)
    sys.exit(int(highest > most))


def _write_list(path: Path, prefix: str, names: list[str]) -> None:
    path.write_text("".join(f"{prefix}{name}\n" for name in names))


def _peak(command: list[str | Path], folder: str) -> Peak:
    """Ask the system while the program runs: what ``wait4`` says counts this process as well."""
    rss = pss = 0
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):  # it ends just now
                rss = max(rss, _kilobytes(process.pid, "status", "VmHWM"))
                pss = max(pss, _kilobytes(process.pid, "smaps_rollup", "Pss"))
            time.sleep(0.02)
        errors = process.communicate()[1].decode()
    if process.returncode:
        sys.exit(errors)
    return Peak(rss / 1024, pss / 1024)


def _kilobytes(pid: int, file: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    fire.Fire(main)
