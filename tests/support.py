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

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "docs" / "sample" / "dahlia.jpg"
#: The command that pip installed beside this interpreter.
FLOWERS = Path(sys.executable).parent / "flowers"

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
