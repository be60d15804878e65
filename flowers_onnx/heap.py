"""glibc's heap, which by default grows with the number of threads and never shrinks.

Each function does nothing where there is another C library.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

_M_ARENA_MAX = -8  # malloc.h


def share_one() -> None:
    """Let all threads of this process use one heap instead of one for each.

    With two workers that is a fifth of the memory, at the same speed: the network's tensors
    are few and large. It changes the whole process, so only the command line does it.
    """
    _call("mallopt", _M_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Give back what glibc keeps for each thread that has ever decoded a large image."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: Any) -> None:
    import ctypes  # takes longer to import than a small photo to decode

    with suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*arguments)
