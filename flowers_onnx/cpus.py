"""How many CPUs this process may use: affinity and the container's quota, not the machine's."""

from __future__ import annotations

import os

#: More than any machine for small models has; onnxruntime fails badly far above.
MAX_THREADS = 1024
CGROUP_ROOT = "/sys/fs/cgroup"


def allowed_cpus(cgroup_root: str | os.PathLike[str] = CGROUP_ROOT) -> int:
    """CPUs that affinity and the cgroup quota (v2 or v1) leave, rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):
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
