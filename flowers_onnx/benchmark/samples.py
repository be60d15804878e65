"""What samples say: quantiles, intervals by the bootstrap, outliers.

Samples come in runs, and the samples of one run resemble each other (the same moment, the same
state of the machine), so whole runs are drawn again in the bootstrap, never single samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flowers_onnx.benchmark.document import Summary

#: Samples of one quantity, in ms: one sequence a run.
Runs = Sequence[Sequence[float]]
Interval = tuple[float, float]

#: Fewer runs say too little about how much runs differ.
FEWEST_RUNS = 5
_DRAWS = 1000


def summary(runs: Runs) -> Summary:
    """The figures of one quantity."""
    values = np.concatenate([np.asarray(run, float) for run in runs])
    p25, p50, p75, p90, p99 = np.percentile(values, [25, 50, 75, 90, 99])
    interval = median_interval(runs)
    low, high = fences(values)
    return {
        "count": len(values),
        "mean": _rounded(values.mean()),
        "stdev": _rounded(values.std(ddof=1)) if len(values) > 1 else None,
        "min": _rounded(values.min()),
        "p25": _rounded(p25),
        "p50": _rounded(p50),
        "p75": _rounded(p75),
        "p90": _rounded(p90),
        "p99": _rounded(p99),
        "max": _rounded(values.max()),
        "ci95": [_rounded(end) for end in interval] if interval else None,
        "outliers": int(np.sum((values < low) | (values > high))),
    }


def fences(values: Sequence[float] | npt.NDArray[np.float64]) -> Interval:
    """Tukey's fences: what lies beyond them is an outlier."""
    p25, p75 = np.percentile(values, [25, 75])
    return float(p25 - 1.5 * (p75 - p25)), float(p75 + 1.5 * (p75 - p25))


def median_interval(runs: Runs) -> Interval | None:
    """The 95 % interval of the median; None for fewer than ``FEWEST_RUNS`` runs."""
    return _interval(_medians(runs)) if len(runs) >= FEWEST_RUNS else None


def half_width(runs: Runs) -> float:
    """Half the interval of the median, as a fraction of the median; infinite if unknown."""
    interval = median_interval(runs)
    return (interval[1] - interval[0]) / 2 / _median(runs) if interval else math.inf


def ratio(new: Runs, old: Runs) -> tuple[float, Interval | None]:
    """The ratio of the medians, new to old, and its 95 % interval."""
    found = _median(new) / _median(old)
    if min(len(new), len(old)) < FEWEST_RUNS:
        return found, None
    return found, _interval(_medians(new, seed=1) / _medians(old, seed=2))


def run_spread(runs: Runs) -> float:
    """How much runs differ: the interquartile range of their medians over its median."""
    p25, p50, p75 = np.percentile([np.median(run) for run in runs], [25, 50, 75])
    return float((p75 - p25) / p50)


def _median(runs: Runs) -> float:
    return float(np.median(np.concatenate([np.asarray(run, float) for run in runs])))


def _medians(runs: Runs, seed: int = 0) -> npt.NDArray[np.float64]:
    """The median of each draw of as many runs, with replacement; the same draws every time."""
    samples = np.asarray(runs, float)  # [runs, samples a run]
    draws = np.random.default_rng(seed).integers(len(samples), size=(_DRAWS, len(samples)))
    return np.array([np.median(samples[draw]) for draw in draws])


def _interval(estimates: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(estimates, [2.5, 97.5])
    return float(low), float(high)


def _rounded(milliseconds: float) -> float:
    """To a tenth of a microsecond, which is finer than any clock here."""
    return round(float(milliseconds), 4)
