"""Comparing two programs that took turns: the ratio of each turn, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000


def ratio(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """The median of ``values[i] / base[i]``, and its 95 % bootstrap interval."""
    ratios = np.asarray(values) / np.asarray(base)
    picks = np.random.default_rng(0).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


def ratio_text(values: Sequence[float], base: Sequence[float]) -> str:
    """``1.23 (1.20 - 1.26)``."""
    middle, low, high = ratio(values, base)
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
