"""Talk for people, on standard error: lines, and one that is written again and again.

Results never come here. Whether anyone listens doesn't matter, and never costs a result.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

_BAR_WIDTH = 24


def say(text: str) -> None:
    """One line on stderr, whatever ``text`` holds."""
    with contextlib.suppress(OSError):
        print("\\n".join(text.splitlines()), file=sys.stderr, flush=True)


def rewrite(text: str = "") -> None:
    """Put ``text`` in the place of the terminal's last line."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def bar(fraction: float) -> str:
    """A bar in brackets; full at 1 and beyond."""
    filled = round(min(fraction, 1) * _BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}]"


@contextlib.contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """A function that shows a fraction and what is going on; silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _text: None
        return
    try:
        yield lambda fraction, text: rewrite(f"{bar(fraction)} {text}")
    finally:
        rewrite()
