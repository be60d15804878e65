"""The signals by which others have this process end in order."""

from __future__ import annotations

import signal


def endings() -> list[signal.Signals]:
    """SIGTERM, and SIGHUP of a terminal that has gone, unless ``nohup`` has us ignore that."""
    found = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return found
