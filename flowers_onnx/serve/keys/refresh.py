"""Values from a slow place, kept fresh by those who ask for them.

Not by a thread with a timer: where a cloud gives the CPU to requests alone, that would run late,
and the first request after a pause would be let in by what was true before it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from flowers_onnx.errors import FlowersError

Value = TypeVar("Value")

#: Seconds that a request waits for a fresh value at most.
PATIENCE = 3.0


class Fresh(Generic[Value]):
    """What ``load`` gave last, and no older than twice ``every`` seconds while it works.

    Who asks gets what there is and, after ``every`` seconds, has it loaded anew by a thread; only
    if it is twice as old, or if there is none, he waits for that, not longer than ``PATIENCE``.
    Where ``load`` fails, the last value stays, nobody waits, and one line in the log says so; it is
    tried again after ``retry`` seconds. Used from the event loop's thread alone.
    """

    def __init__(
        self,
        load: Callable[[], Value],
        what: str,
        every: float,
        *,
        retry: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._what, self._clock = load, what, clock
        self._every, self._retry = every, retry or every
        self._value: Value | None = None
        self._age_from = self._begun = self._due = clock()
        self._job: Future[Value | Exception] | None = None
        self._failing = False

    def put(self, value: Value) -> None:
        """Have a value that was just loaded."""
        self._value, self._age_from = value, self._clock()
        self._due = self._age_from + self._every

    async def get(self) -> Value | None:
        """The value; None if none could ever be loaded."""
        self._take()
        now = self._clock()
        if self._job is None and now >= self._due:
            self._job, self._begun = _in_thread(self._load), now
        old = not self._failing and now - self._age_from >= 2 * self._every
        left = self._begun + PATIENCE - now
        if self._job and (old or self._value is None) and left > 0:
            await asyncio.wait({asyncio.wrap_future(self._job)}, timeout=left)
            self._take()
        return self._value

    def _take(self) -> None:
        """What the thread has brought, if it has ended."""
        if self._job is None or not self._job.done():
            return
        found, self._job = self._job.result(), None
        failed = isinstance(found, Exception)
        if isinstance(found, Exception):
            self._due = self._clock() + self._retry
        else:
            self._value, self._age_from = found, self._begun
            self._due = self._begun + self._every
        if failed != self._failing:
            self._failing = failed
            reason = found if isinstance(found, FlowersError) else repr(found)
            what_now = f"stay as they were: {reason}" if failed else "can be read again"
            # Not printed here: who doesn't read standard error would hold the loop up.
            logging.getLogger(__name__).warning("%s %s", self._what, what_now)


def _in_thread(work: Callable[[], Value]) -> Future[Value | Exception]:
    """What ``work`` will give, or raise; the end of the program doesn't wait for it."""
    future: Future[Value | Exception] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_result(error)

    threading.Thread(target=run, name="flowers-keys", daemon=True).start()
    return future
