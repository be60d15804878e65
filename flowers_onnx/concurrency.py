"""Threads that share work, memory or the disk, without more of either than was agreed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future
    from queue import SimpleQueue

S = TypeVar("S")
R = TypeVar("R")


class Budget:
    """Keeps the cost of all that is in use at one time within ``limit``.

    What costs more than all of it is let in too, alone. Safe to share between threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._changed = threading.Condition()

    def take(self, cost: int) -> None:
        """Wait until ``cost`` fits."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(cost))
            self._used += cost

    def try_take(self, cost: int) -> bool:
        """Take ``cost`` if it fits now; False if it doesn't."""
        with self._changed:
            fits = self._fits(cost)
            self._used += cost if fits else 0
        return fits

    def give_back(self, cost: int) -> None:
        """Say that what was taken is in use no longer."""
        with self._changed:
            self._used -= cost
            self._changed.notify_all()

    @contextlib.contextmanager
    def reserve(self, cost: int) -> Iterator[None]:
        """``take`` for as long as a block lasts."""
        self.take(cost)
        try:
            yield
        finally:
            self.give_back(cost)

    def _fits(self, cost: int) -> bool:
        return not self._used or self._used + cost <= self._limit


def map_ordered(
    work: Callable[[S], R], sources: Iterable[S], *, threads: int, ahead: int, name: str
) -> Iterator[R]:
    """What ``work`` makes of each source, in order, by ``threads`` threads called ``name``.

    ``ahead`` sources are taken beyond the result that is given, never more, so that ``sources``
    may be endless. They are taken by a thread of their own: a result that is ready never waits
    for a source that is slow to come. Errors of ``sources`` and ``work`` are raised in their
    place. What hasn't begun when the caller stops never begins, and nothing is waited for.
    """
    from concurrent.futures import ThreadPoolExecutor  # what a single photo does without
    from queue import SimpleQueue

    # In the order of the sources; None ends them.
    results: SimpleQueue[Future[R] | None] = SimpleQueue()
    room = threading.Semaphore(ahead + 1)
    stopped = threading.Event()
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def feed() -> None:
        remaining = iter(sources)
        try:
            while room.acquire() and not stopped.is_set():
                results.put(pool.submit(work, next(remaining)))
        except StopIteration:
            pass
        except BaseException as error:
            results.put(_failed(error))
        results.put(None)

    threading.Thread(target=feed, name=f"{name}-source", daemon=True).start()
    try:
        while (future := results.get()) is not None:
            yield future.result()
            room.release()
    finally:
        stopped.set()
        room.release()
        pool.shutdown(wait=False, cancel_futures=True)


def _failed(error: BaseException) -> Future[R]:
    from concurrent.futures import Future

    future: Future[R] = Future()
    future.set_exception(error)
    return future


class GroupSync:
    """One call of ``flush`` for all threads that wait for one at the same time."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._counting, self._flushing = threading.Lock(), threading.Lock()
        self._asked = self._done = 0
        self._failure: Exception | None = None

    def wait(self) -> None:
        """Return when a flush that began after this call has ended.

        Raises what ``flush`` raises, now and ever after: once it has failed nobody knows what
        was kept, and a second try of the disk would tell nothing.
        """
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._flushing:
            if self._done >= mine:  # by another thread, meanwhile
                return
            if self._failure:
                raise self._failure
            with self._counting:
                upto = self._asked
            try:
                self._flush()
            except Exception as error:
                self._failure = error
                raise
            self._done = upto
