"""A line on a terminal that is written again and again; on standard error, for people who watch."""

from __future__ import annotations

import contextlib
import sys

_WIDTH = 24


def rewrite(text: str = "") -> None:
    """Put ``text`` in the place of the line; whether anyone sees it doesn't matter."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def bar(fraction: float) -> str:
    """A bar in brackets; full at 1 and beyond."""
    filled = round(min(fraction, 1) * _WIDTH)
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"
