"""What ``flowers compare`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The two sides, names of files or of species, and where the comparison goes.

    ``format`` is one of ``text``, ``json`` and ``html``; ``out`` None is standard output.
    """

    a: str
    b: str
    index: str | None
    format: str
    lang: str
    out: str | None
    model: str | None
    max_pixels: int
