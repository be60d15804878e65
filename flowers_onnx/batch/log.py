"""What a run says on standard error: a bar for who watches, lines or JSON for a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flowers_onnx.batch.tally import pace
from flowers_onnx.console import say
from flowers_onnx.progress import Progress

_LOG_SECONDS = 60


class Log:
    """Talk about a run: a bar on a terminal, else a line a minute.

    As ``json``, each line is an object with ``severity``, ``time`` and ``message``, which Cloud
    Logging understands.
    """

    def __init__(self, form: str, *, shows_progress: bool = True) -> None:
        self._json = form == "json"
        self._shows_progress = shows_progress
        self._bar = Progress(wanted=shows_progress and not self._json)
        self._started = self._last = time.monotonic()

    def say(self, message: str, severity: str = "INFO", **fields: Any) -> None:
        """Tell of an event; ``fields`` are for the JSON only."""
        if self._json:
            now = datetime.now(UTC).isoformat()
            line = {"severity": severity, "time": now, "message": message, **fields}
            say(json.dumps(line, allow_nan=False))
        else:
            say(f"flowers: {message}")

    def expect(self, count: Callable[[], int]) -> None:
        """Find out beside the run how many images there are, so that a bar can say how long."""
        self._bar.expect(count)

    def progress(self, done: int, skipped: int, tally: object) -> None:
        """``done`` images were done now, ``skipped`` earlier; most calls say nothing.

        ``tally`` becomes text only when something is said.
        """
        if self._bar.on:
            self._bar.update(done, tally, skipped)
            return
        now = time.monotonic()
        if not self._shows_progress or now - self._last < _LOG_SECONDS:
            return
        self._last = now
        rate = done / (now - self._started)
        speed = pace(done, now - self._started)
        self.say(f"{done:,} images, {speed}: {tally}", images=done, rate=rate)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
