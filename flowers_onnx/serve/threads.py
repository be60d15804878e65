"""Threads for calls that may hang, seen from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

R = TypeVar("R")


class _Call(NamedTuple):
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    ended: Callable[[], None]


class Threads:
    """At most ``most`` of them, begun when they are needed; used from the loop's thread alone.

    Unlike those of an executor they are daemons: a bucket that doesn't answer keeps no process
    from its end.
    """

    def __init__(self, most: int, name: str, *, nice: int = 0) -> None:
        self._most, self._name, self._nice = most, name, nice
        self._begun = self._busy = 0
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()

    @property
    def unfinished(self) -> int:
        """Calls that run or wait for a thread, those included that nobody waits for any more."""
        return self._busy

    def run(
        self, work: Callable[[], R], ended: Callable[[], None] = lambda: None
    ) -> asyncio.Future[R]:
        """What ``work`` returns or raises; once begun it goes on, whoever is cancelled.

        ``ended`` is called in the loop's thread when the call holds its thread, or its place among
        those that wait for one, no longer.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._busy += 1
        if self._busy > self._begun and self._begun < self._most:
            self._begun += 1
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        self._calls.put(_Call(work, future, loop, ended))
        return future

    def close(self) -> None:
        """Let them go, each when its call is done."""
        for _ in range(self._begun):
            self._calls.put(None)
        self._begun = 0

    def _serve(self) -> None:
        if self._nice and sys.platform == "linux":  # where each thread has its own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (call := self._calls.get()) is not None:
            result, error = None, None
            if not call.future.cancelled():
                try:
                    result = call.work()
                except BaseException as found:
                    error = found
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                call.loop.call_soon_threadsafe(self._finish, call.future, call.ended, result, error)
            del call, result, error  # a photo, perhaps: don't hold it until the next call

    def _finish(
        self,
        future: asyncio.Future[R],
        ended: Callable[[], None],
        result: R,
        error: BaseException | None,
    ) -> None:
        self._busy -= 1
        ended()
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
