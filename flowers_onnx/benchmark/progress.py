"""A progress bar on standard error, for people who watch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

_WIDTH = 24


@contextlib.contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """A function that shows a fraction and what is going on; silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _text: None
        return
    try:
        yield _show
    finally:
        _write("\r\x1b[K")


def _show(fraction: float, text: str) -> None:
    filled = round(min(fraction, 1) * _WIDTH)
    _write(f"\r\x1b[K[{'#' * filled}{'.' * (_WIDTH - filled)}] {text}")


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
