"""Names that tests share."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flowers_onnx.cli.arguments import parse
from flowers_onnx.cli.command import Job
from flowers_onnx.cli.fire_adapter import route
from flowers_onnx.exif import Taken
from flowers_onnx.record import Timestamp
from flowers_onnx.results import Result
from flowers_onnx.storage.item import Item
from flowers_onnx.tables import Sink, rows, sink_for
from flowers_onnx.tables.rows import RESULTS

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "docs" / "sample" / "dahlia.jpg"
#: The command that pip installed beside this interpreter.
FLOWERS = Path(sys.executable).parent / "flowers"

#: Behind the fields of the result record.
BATCH_FIELDS = (
    *("source_uri", "source_version", "source_id", "size", "taken_at", "latitude", "longitude"),
    *("run_id", "processed_at"),
)
#: A row that tests take apart and alter.
Row = dict[str, Any]

Run = Callable[..., subprocess.CompletedProcess[bytes]]


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, pipes, shells of POSIX")

#: Programs that some tests run and a bare machine lacks, with Debian's packages for them.
PACKAGES = {
    "strace": "strace",
    "qemu-x86_64": "qemu-user",
    "node": "nodejs",
    "javac": "default-jdk-headless",
    "chromium-headless-shell": "chromium-headless-shell",
    "systemd-analyze": "systemd",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "exiftool": "libimage-exiftool-perl",
    "jq": "jq",
    "inotifywait": "inotify-tools",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "shellcheck": "shellcheck",
}


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where ``program`` isn't installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=lacks(program))


def lacks(program: str) -> str:
    """Why a test was skipped; the last line of a run gathers the packages."""
    return f"needs {program}" + (f": apt-get install {p}" if (p := PACKAGES.get(program)) else "")


#: In seconds; only what hangs takes longer, on any machine.
PATIENCE = 120


def wait_until(happened: Callable[[], object]) -> None:
    """Wait for an event; fails where it never comes."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def noise_pictures(folder: Path, count: int, seed: int) -> None:
    """``00.png`` and so on, small, and ``broken.jpg``."""
    draw = random.Random(seed)
    for number in range(count):
        picture = Image.frombytes("RGB", (24, 24), draw.randbytes(24 * 24 * 3))
        picture.resize((96, 96)).save(folder / f"{number:02}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def result_sink(place: str | Path) -> Sink:
    """The sink for the rows of a batch."""
    return sink_for(str(place), RESULTS)


def make_row(
    item: Item, result: Result, run_id: str, processed_at: str, taken: Taken | None = None
) -> Row:
    """A row as a batch makes it."""
    return {**rows.make_row(item, result, run_id, Timestamp(processed_at), taken or Taken())}


def job(*words: str | Path) -> Job:
    """The job of a command line: all of its arguments checked, and nothing done."""
    return route(parse(list(map(str, words))).argv)


def flag_words(flags: dict[str, str]) -> list[str]:
    """``{"top_k": "3"}`` -> ``["--top_k=3"]``."""
    return [f"--{name}={value}" for name, value in flags.items()]
