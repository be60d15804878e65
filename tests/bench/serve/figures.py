"""What the drills print and write: short tables, percentiles, and whether a bound was kept."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from traffic import Answer


class Report:
    """Lines for people now, and all of it as JSON at the end."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._facts: dict[str, Any] = {
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "cpu": _cpu(),
            "cpus": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
        }
        self._kept: list[bool] = []

    def say(self, name: str, text: str, **values: Any) -> None:
        """A line; ``values`` are what the JSON has under ``name``."""
        print(f"{name:<28}{text}", flush=True)
        self._facts[name] = values or text

    def bound(self, what: str, value: float, limit: float, *, least: bool = False) -> None:
        """A line that says whether ``value`` is at most (at least) ``limit``."""
        kept = value >= limit if least else value <= limit
        word = "at least" if least else "at most"
        verdict = "kept" if kept else "NOT KEPT"
        self._kept.append(kept)
        self.say(what, f"{value:.3g}, {word} {limit:.3g}: {verdict}", value=value, limit=limit)

    def finish(self) -> None:
        """Write the file; the exit status is 1 if a bound wasn't kept."""
        if self._out:
            Path(self._out).write_text(json.dumps(self._facts, indent=1) + "\n")
        if not all(self._kept):
            sys.exit(1)


def milliseconds(answers: Sequence[Answer]) -> np.ndarray:
    """From when each was due until its answer was there."""
    return np.array([(answer.done - answer.due) * 1e3 for answer in answers])


def percentiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Of milliseconds; empty for none."""
    if not len(values):
        return {}
    marks = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    found = np.percentile(values, list(marks.values()))
    return {name: round(float(value), 3) for name, value in zip(marks, found, strict=True)}


def line(values: Mapping[str, float]) -> str:
    """``p50 6.1  p99 9.2``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def statuses(answers: Sequence[Answer]) -> dict[str, int]:
    """How often each came; "none" is no answer."""
    found = Counter(str(answer.status or "none") for answer in answers)
    return dict(sorted(found.items()))


def medians(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the ratios of what took turns."""
    return statistics.median(one / other for one, other in pairs)


def _cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
