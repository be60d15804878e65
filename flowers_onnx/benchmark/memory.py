"""How much memory this process has held at most."""

from __future__ import annotations

import sys


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
