"""Talk for people, on stderr; results never come here."""

from __future__ import annotations

import contextlib
import sys


def say(text: str) -> None:
    """One line on stderr. Whether anyone listens doesn't matter, and never costs a result."""
    with contextlib.suppress(OSError):
        print("\\n".join(text.splitlines()), file=sys.stderr, flush=True)
