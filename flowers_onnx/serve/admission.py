"""Who gets in: as many requests as there are slots, and a few that wait; others are told at once.

A request is admitted when its body is there. Its photos then take slots one after another, each
behind what waits already, so that a request of many photos delays others by one photo, not by all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from flowers_onnx.serve.problems import RETRY_SOON, Problem
from flowers_onnx.serve.threads import Threads

T = TypeVar("T")

#: How far the photos in work stand back behind the loop, which answers probes and refuses.
_NICE = 10


def busy(detail: str) -> Problem:
    """The refusal of one too many."""
    return Problem(429, "too_many_requests", detail, RETRY_SOON)


class Admission:
    """Slots for photos in work, a bounded queue, and a bound for bodies in memory.

    Used from the event loop's thread alone, but for the work itself.
    """

    def __init__(self, slots: int, queue: int, body_bytes: int) -> None:
        self.slots, self.queue = slots, queue
        self._room = body_bytes
        self._threads = Threads(slots, "flowers-slot", nice=_NICE)
        self._numbers = itertools.count()
        #: When the photos in work were begun.
        self._begun: dict[int, float] = {}
        self.admitted = 0

    @property
    def in_work(self) -> int:
        """Photos in a slot."""
        return len(self._begun)

    @property
    def body_bytes(self) -> int:
        """What may still come in bodies."""
        return self._room

    def check(self) -> None:
        """Raise the ``Problem`` of a request for which there is no place.

        What a client no longer waits for has its place until its thread is done with it: else a
        decoder that hangs would gather photos behind it without end.
        """
        if max(self.admitted, self._threads.unfinished) >= self.slots + self.queue:
            raise busy("all slots and places in the queue are taken; try again in a moment")

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place among those admitted, or the ``Problem`` of ``check``."""
        self.check()
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def take_bytes(self, count: int) -> None:
        """Reserve memory for a part of a body; ``give_bytes`` ends it."""
        if count > self._room:
            raise busy("too many uploads are under way; try again in a moment")
        self._room -= count

    def give_bytes(self, count: int) -> None:
        """Say that a body is in memory no longer."""
        self._room += count

    async def run(self, work: Callable[[], T], size: int) -> tuple[T, float]:
        """What ``work`` gives in a slot of its own, and how many seconds it waited for one.

        Who stops waiting doesn't stop the work: a slot is free when its thread is, and so are the
        ``size`` bytes that it works with.
        """
        asked = time.perf_counter()
        number = next(self._numbers)
        begun = 0.0
        is_left = has_ended = False

        def in_slot() -> T:
            nonlocal begun
            begun = self._begun[number] = time.perf_counter()
            try:
                return work()
            finally:
                del self._begun[number]

        def ended() -> None:
            nonlocal has_ended
            has_ended = True
            if is_left:
                self._room += size

        try:
            return await self._threads.run(in_slot, ended), begun - asked
        except asyncio.CancelledError:
            if not has_ended:
                is_left = True
                self._room -= size  # whoever cancelled gives them back
            raise

    def longest(self) -> float:
        """For how many seconds the oldest photo has been in work; 0 if there is none."""
        begun = list(self._begun.values())
        return time.perf_counter() - min(begun) if begun else 0

    def close(self) -> None:
        """Start nothing more."""
        self._threads.close()
