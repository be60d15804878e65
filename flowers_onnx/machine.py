"""What this process may use of the machine, and how it keeps to that: CPUs and memory."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

#: More than any machine for small models has; onnxruntime fails badly far above.
MAX_THREADS = 1024
CGROUP_ROOT = "/sys/fs/cgroup"
OWN_CGROUPS = "/proc/self/cgroup"

_M_ARENA_MAX = -8  # glibc's malloc.h


def allowed_cpus(
    cgroup_root: str | os.PathLike[str] = CGROUP_ROOT,
    own_cgroups: str | os.PathLike[str] = OWN_CGROUPS,
) -> int:
    """CPUs that affinity and the cgroup quota (v2 or v1) leave, rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):  # noqa: SIM108  a line a branch is easier to read
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota(cgroup_root, own_cgroups)
    if quota is not None:
        cpus = min(cpus, -int(-quota // 1))
    return max(1, cpus)


def cgroup_quota(
    root: str | os.PathLike[str] = CGROUP_ROOT,
    own: str | os.PathLike[str] = OWN_CGROUPS,
) -> float | None:
    """CPUs a second that this process's control groups grant; None where none sets a limit.

    A unit's limit is in its own group, a container's in what it sees as the root, and the
    smallest on the way from one to the other counts.
    """
    quotas = [_quota(folder) for folder in _cgroups(os.fspath(root), own)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _cgroups(root: str, own: str | os.PathLike[str]) -> set[str]:
    """The folders of the groups that this process is in, and of all above them."""
    found = {root, os.path.join(root, "cpu")}
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = controllers.split(",")
        if "cpu" in names:  # v1, which is mounted under one name or both
            mounts = [os.path.join(root, name) for name in ("cpu", controllers)]
        elif not controllers:
            mounts = [root]
        else:
            continue
        # Seen from another namespace, a path may begin with "..": its root is all there is.
        path = os.path.normpath("/" + path)
        while path.strip("/"):
            found.update(mount + path for mount in mounts)
            path = os.path.dirname(path)
        found.update(mounts)
    return found


def _quota(folder: str) -> float | None:
    v2 = _read(os.path.join(folder, "cpu.max")).split()
    v1 = [_read(os.path.join(folder, f"cpu.cfs_{name}_us")) for name in ("quota", "period")]
    try:
        quota, period = map(int, v2 or v1)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):  # a null byte in the name
        return ""


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
