"""What this process may use of the machine, and how it keeps to that: CPUs and memory."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

#: More than any machine for small models has; onnxruntime fails badly far above.
MAX_THREADS = 1024
CGROUP_ROOT = "/sys/fs/cgroup"

_M_ARENA_MAX = -8  # glibc's malloc.h


def allowed_cpus(cgroup_root: str | os.PathLike[str] = CGROUP_ROOT) -> int:
    """CPUs that affinity and the cgroup quota (v2 or v1) leave, rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):  # noqa: SIM108  a line a branch is easier to read
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota(cgroup_root)
    if quota is not None:
        cpus = min(cpus, -int(-quota // 1))
    return max(1, cpus)


def cgroup_quota(root: str | os.PathLike[str] = CGROUP_ROOT) -> float | None:
    """CPUs a second that the control group grants, or None where it sets no limit."""
    v2 = _words(os.path.join(root, "cpu.max"))
    if len(v2) == 2:
        return None if v2[0] == "max" else int(v2[0]) / int(v2[1])
    quota, period = (
        _words(os.path.join(root, "cpu/cpu.cfs_quota_us")),
        _words(os.path.join(root, "cpu/cpu.cfs_period_us")),
    )
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    except OSError:
        return []


def peak_rss() -> float | None:
    """The most resident memory so far, in MiB; None where the system doesn't say."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Second best: on Linux a new process starts with the peak of the one that spawned it.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def share_one_heap() -> None:
    """Let all threads of this process use one heap instead of one for each (glibc only).

    With two workers that is a fifth of the memory, at the same speed: the network's tensors
    are few and large. It changes the whole process, so only the command line does it.
    """
    _call_libc("mallopt", _M_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Give back what glibc keeps for each thread that has ever decoded a large image."""
    _call_libc("malloc_trim", 0)


def _call_libc(function: str, *arguments: Any) -> None:
    import ctypes  # takes longer to import than a small photo to decode

    with suppress(AttributeError, OSError, TypeError):  # there is another C library
        getattr(ctypes.CDLL(None), function)(*arguments)
