"""Whether the machine had other things to do while it was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from flowers_onnx.benchmark.samples import Runs, run_spread

#: Load average for each CPU, CPU share and spread between runs from which figures are doubtful.
_BUSY_LOAD = 0.25
_LOW_SHARE = 0.95
_WIDE_SPREAD = 0.15


def load_average() -> float | None:
    """Programs that wanted a CPU during the last minute; None where the system doesn't say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class CpuShare:
    """How much of the time that this process wants to compute it gets a CPU for."""

    def __init__(self) -> None:
        self._cpu = self._wall = 0.0

    def probe(self, seconds: float = 0.005) -> None:
        """Compute for a moment, and note what of it was granted."""
        cpu, wall = time.process_time(), time.perf_counter()
        while time.perf_counter() - wall < seconds:
            pass
        self._cpu += time.process_time() - cpu
        self._wall += time.perf_counter() - wall

    @property
    def share(self) -> float:
        """0 to 1; near 1 on a machine that has nothing else to do."""
        return round(min(1.0, self._cpu / self._wall), 3) if self._wall else 1.0


def warnings(load: float | None, cpus: int, share: float, totals: Mapping[str, Runs]) -> list[str]:
    """Signs that the machine was busy; ``totals`` are the total times of each case."""
    found = []
    if load is not None and load > _BUSY_LOAD * cpus:
        found.append(f"the machine was busy before: load average {load} on {cpus} CPUs")
    if share < _LOW_SHARE:
        found.append(f"the machine was busy: a computing process got {share:.0%} of a CPU")
    for name, runs in totals.items():
        if (spread := run_spread(runs)) > _WIDE_SPREAD:
            found.append(f"{name}: the runs differ much (middle half within {spread:.0%})")
    return found
