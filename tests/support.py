"""Names that tests share."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from flowers_onnx.cli.arguments import parse
from flowers_onnx.cli.command import Job
from flowers_onnx.cli.fire_adapter import route

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "docs" / "sample" / "dahlia.jpg"
#: The command that pip installed beside this interpreter.
FLOWERS = Path(sys.executable).parent / "flowers"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


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


def job(*words: str | Path) -> Job:
    """The job of a command line: all of its arguments checked, and nothing done."""
    return route(parse(list(map(str, words))).argv)


def flag_words(flags: dict[str, str]) -> list[str]:
    """``{"top_k": "3"}`` -> ``["--top_k=3"]``."""
    return [f"--{name}={value}" for name, value in flags.items()]
