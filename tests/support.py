"""Names that tests share."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "docs" / "sample" / "dahlia.jpg"
#: The command that pip installed beside this interpreter.
FLOWERS = Path(sys.executable).parent / "flowers"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
