"""Answers that don't depend on what the caller's program makes of warnings.

Where its filter makes errors of them, as ``python -W error`` does, Pillow stops at what it would
only warn of. Threads share what ``warnings.catch_warnings`` changes, so that it is no way out.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

_MODULES = ("Image", "TiffImagePlugin", "PngImagePlugin", "JpegImagePlugin", "_deprecate")
_own = threading.local()


class _Warnings:
    """What stands in for the module ``warnings`` in those of Pillow that use it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(
        self, message: Warning | str, category: Any = None, stacklevel: int = 1, **others: Any
    ) -> None:
        """``warnings.warn``, but not for a thread that is quiet."""
        if not is_quiet():
            warnings.warn(message, category, stacklevel + 1, **others)


_stand_in = _Warnings()


def is_quiet() -> bool:
    """Whether this thread is within ``quietly``."""
    return getattr(_own, "is_quiet", False)


@contextmanager
def quietly() -> Iterator[None]:
    """Have Pillow and NumPy warn of nothing in this thread; others aren't touched."""
    import_module("PIL.TiffImagePlugin")  # which reads EXIF, too: it would be imported within
    for name in _MODULES:
        if module := sys.modules.get(f"PIL.{name}"):
            module.warnings = _stand_in  # type: ignore[attr-defined]
    before, _own.is_quiet = is_quiet(), True
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _own.is_quiet = before
