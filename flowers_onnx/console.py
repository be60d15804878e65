"""Talk for people, on standard error. Results never come here.

Whether anyone listens doesn't matter, and never costs a result.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

#: Gives what takes away the bar that the terminal's last line may show; set by ``progress``.
erasure: Callable[[], str] = str


def say(text: str) -> None:
    """One line on stderr, whatever ``text`` holds."""
    line = "\\n".join(text.splitlines())
    with contextlib.suppress(OSError):
        # In one write: a bar that another thread draws can't come in between.
        sys.stderr.write(f"{erasure()}{line}\n")
        sys.stderr.flush()
