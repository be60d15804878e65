"""What a run says on standard error: a bar for who watches, lines or JSON for a log."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flowers_onnx.console import bar, rewrite, say

_BAR_SECONDS = 0.2
_LOG_SECONDS = 60


class Log:
    """Talk about a run: a bar on a terminal, else a line a minute.

    As ``json``, each line is an object with ``severity``, ``time`` and ``message``, which Cloud
    Logging understands.
    """

    def __init__(self, form: str) -> None:
        self._json = form == "json"
        self._bar = not self._json and sys.stderr.isatty()
        self._started = self._last = time.monotonic()
        self._total: int | None = None

    def say(self, message: str, severity: str = "INFO", **fields: Any) -> None:
        """Tell of an event; ``fields`` are for the JSON only."""
        if self._json:
            now = datetime.now(UTC).isoformat()
            line = {"severity": severity, "time": now, "message": message, **fields}
            say(json.dumps(line, allow_nan=False))
        else:
            self._clear()
            say(f"flowers: {message}")

    def expect(self, count: Callable[[], int]) -> None:
        """Find out beside the run how many images there are, so that a bar can say how long."""
        if self._bar:
            threading.Thread(target=self._count, args=(count,), daemon=True).start()

    def progress(self, done: int, skipped: int, tally: object) -> None:
        """``done`` images were done now, ``skipped`` earlier; most calls say nothing.

        ``tally`` becomes text only when something is said.
        """
        now = time.monotonic()
        if now - self._last < (_BAR_SECONDS if self._bar else _LOG_SECONDS):
            return
        self._last = now
        rate = done / (now - self._started)
        if self._bar:
            rewrite(f"{self._fraction(done + skipped, rate)}{rate:.0f} a second: {tally}")
        else:
            self.say(f"{done:,} images, {rate:.0f} a second: {tally}", images=done, rate=rate)

    def close(self) -> None:
        """Take the bar away."""
        self._clear()
        self._bar = False

    def _count(self, count: Callable[[], int]) -> None:
        with contextlib.suppress(Exception):  # the run itself lists too, and tells what is wrong
            self._total = count()

    def _fraction(self, done: int, rate: float) -> str:
        if not self._total:
            return f"{done:,} images, "
        minutes, seconds = divmod(round((self._total - done) / max(rate, 1e-9)), 60)
        return f"{bar(done / self._total)} {done:,}/{self._total:,}, {minutes}:{seconds:02} left, "

    def _clear(self) -> None:
        if self._bar:
            rewrite()
