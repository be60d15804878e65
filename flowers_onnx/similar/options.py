"""What ``flowers similar`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The photos to look for, or to add, and the index.

    ``top_k`` is the number of photos that are given for each, ``format`` one of ``text``,
    ``json``, ``jsonl`` and ``csv``; ``threads`` None means all CPUs that are allowed.
    """

    paths: tuple[str, ...]
    index: str
    add: bool
    top_k: int
    format: str
    lang: str
    out: str | None
    model: str | None
    threads: int | None
    max_pixels: int
