"""What a command gives: work that is ready to start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: The forms of an answer on standard output.
FORMATS = ("text", "json", "jsonl", "csv")


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is ready to start and gives the exit code.

    Not callable itself: Fire would call it before the arguments are known to be valid.
    """

    work: Callable[[], int]
