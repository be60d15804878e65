"""A progress bar on standard error, for people who watch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from flowers_onnx.terminal import bar, rewrite


@contextlib.contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """A function that shows a fraction and what is going on; silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _text: None
        return
    try:
        yield _show
    finally:
        rewrite()


def _show(fraction: float, text: str) -> None:
    rewrite(f"{bar(fraction)} {text}")
