"""What ``flowers batch --watch`` takes of a CPU and of memory while nothing comes.

    PYTHONPATH=tests python tests/bench/watch.py [--files 10000] [--seconds 60] [--most 5]

All files of the folder are done already, by the rows of a result that is made here. The first
looks, which compare each file with these, are left out. Prints the share of one CPU in percent,
the resident memory in MB, and that of a watch of an empty folder. The exit code is 1 if the
share is above ``--most``. Linux only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fire
from support import make_row, result_sink

from flowers_onnx.results import Failure
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.local import version_of
from flowers_onnx.tables.schema import utc_now

_FLOWERS = Path(sys.executable).with_name("flowers")
#: Until the looks are as seldom as they get.
_SETTLING = 20


class Idle(NamedTuple):
    """In percent of a CPU, and in MB."""

    share: float
    memory: float


def main(*, files: int = 10_000, seconds: float = 60, most: float = 5) -> None:
    """Print both for an empty folder, and for one of ``files`` files."""
    with tempfile.TemporaryDirectory() as place:
        empty = _measured(Path(place, "empty"), 0, seconds)
        full = _measured(Path(place, "full"), files, seconds)
    for count, idle in ((0, empty), (files, full)):
        print(f"{count:9,} files: {idle.share:.1f} % of a CPU, {idle.memory:.0f} MB")
    sys.exit(int(full.share > most))


def _measured(folder: Path, files: int, seconds: float) -> Idle:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:07}.jpg").touch()
    result = folder.with_suffix(".jsonl")
    result_sink(result).publish(_rows(folder))
    log = folder.with_suffix(".log")
    command: list[str | Path] = [_FLOWERS, "batch", folder, "--out", result, "--watch"]
    with open(log, "wb") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            while "watches" not in log.read_text():
                if process.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.1)
            time.sleep(_SETTLING)
            before, began = _cpu_seconds(process.pid), time.monotonic()
            time.sleep(seconds)
            used = _cpu_seconds(process.pid) - before
            share = 100 * used / (time.monotonic() - began)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    return Idle(share, int(found[1]) / 1024 if found else 0)


def _rows(folder: Path) -> Iterator[dict[str, object]]:
    for entry in os.scandir(folder):
        item = Item(Path(entry.path).as_uri(), version_of(entry.stat()))
        failure = Failure("corrupt", "", None, None, "m")
        yield make_row(item, failure, "r", utc_now())


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    fire.Fire(main)
