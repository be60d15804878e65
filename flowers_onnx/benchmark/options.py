"""What ``flowers benchmark`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, for how long, and what to do with the result.

    ``models`` holds ``None`` for the default model; ``precision`` is the half-width of the
    95 % interval as a fraction of the median; ``compare`` is empty, (old,) or (old, new);
    ``out`` is None for standard output.
    """

    paths: tuple[str, ...]
    scenarios: tuple[str, ...]
    threads: tuple[int, ...]
    models: tuple[str | None, ...]
    format: str
    out: str | None
    min_runs: int
    max_seconds: float
    precision: float
    warmup: int
    compare: tuple[str, ...]
    fail_above: float
    plot: str | None
