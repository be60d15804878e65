"""Whole programs, run in turns: wall seconds, processor seconds, peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_ENVIRONMENT = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass
class Runs:
    """The runs of one program, in order."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: float = 0.0


def interleave(programs: Mapping[str, Sequence[str]], turns: int) -> dict[str, Runs]:
    """Run each program ``turns`` times, and once before to fill the page cache."""
    measured = {name: Runs() for name in programs}
    for turn in range(turns + 1):
        for name, command in programs.items():
            wall, usage = _run(command)
            runs = measured[name]
            runs.peak_mb = max(runs.peak_mb, usage.ru_maxrss / 1024)
            if turn:
                runs.wall.append(wall)
                runs.cpu.append(usage.ru_utime + usage.ru_stime)
        print(f"\rturn {turn} of {turns}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return measured


def _run(command: Sequence[str]) -> tuple[float, resource.struct_rusage]:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_ENVIRONMENT
    )
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed with {process.returncode}")
    return elapsed, usage
