"""Where it was measured, and whether the machine had other things to do."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from flowers_onnx.benchmark.samples import Runs, run_spread
from flowers_onnx.cpus import allowed_cpus, cgroup_quota

#: What ``describe`` tells: the machine, what of it this process may use, the software.
FACTS = (
    "cpu",
    "cpus",
    "cpus_affinity",
    "cpus_cgroup_quota",
    "cpus_allowed",
    "python",
    "onnxruntime",
    "numpy",
    "pillow",
    "platform",
)
#: Load average for each CPU, CPU share and spread between runs from which figures are doubtful.
_BUSY_LOAD = 0.25
_LOW_SHARE = 0.95
_WIDE_SPREAD = 0.15


def describe() -> dict[str, Any]:
    """What makes figures differ between machines and installations."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "cpus_affinity": affinity,
        "cpus_cgroup_quota": cgroup_quota(),
        "cpus_allowed": allowed_cpus(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("onnxruntime", "numpy", "pillow")},
        "platform": platform.platform(),
    }


def cpu_model() -> str:
    """The CPU's name as the system gives it."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("model name", "Model\t")):  # x86; some arm64 boards
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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
