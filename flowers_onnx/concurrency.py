"""Threads that share work, memory or the disk, without more of either than was agreed."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

S = TypeVar("S")
R = TypeVar("R")


class Budget:
    """Keeps the cost of all that is in use at one time within ``limit``.

    What costs more than all of it is let in too, alone. Who waits is let in in the order of
    coming, so that the large doesn't starve among the small. Safe to share between threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.renew()

    def renew(self) -> None:
        """Begin anew, with nothing in use: for ``after_fork``."""
        self._used = 0
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @property
    def used(self) -> int:
        """The cost of all that is in use."""
        return self._used

    def take(self, cost: int) -> None:
        """Wait until it is our turn and ``cost`` fits."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(cost))
                self._used += cost
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def try_take(self, cost: int) -> bool:
        """Take ``cost`` if it fits now and nobody waits; False otherwise."""
        with self._changed:
            fits = not self._waiting and self._fits(cost)
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
    may be endless. Errors of ``work`` are raised in their place, those of ``sources`` at once.
    What hasn't begun when the caller stops never begins, and nothing is waited for. Sources are
    taken by the caller's thread, so that a result may wait for the next one to come.
    """
    remaining = iter(sources)
    first = list(islice(remaining, 2))
    if len(first) == 1:  # nothing to overlap with: spare the threads
        yield work(first[0])
        return
    from concurrent.futures import ThreadPoolExecutor  # what a single photo does without

    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    waiting: deque[Future[R]] = deque()
    try:
        for source in chain(first, remaining):
            waiting.append(pool.submit(work, source))
            while waiting and (waiting[0].done() or len(waiting) > ahead):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class End(NamedTuple):
    """There are no more sources, or no more can be had."""

    error: BaseException | None


@contextlib.contextmanager
def source_thread(
    sources: Iterable[S], *, ahead: int, put: Callable[[S | End], None], name: str
) -> Iterator[Callable[[], None]]:
    """Give ``sources``, then an ``End``, to ``put`` in a thread of their own.

    It gives ``ahead`` of them, and another one for each call of the function that the block
    gets. ``sources`` must not mind the thread. When the block ends, one that is waited for just
    then is still taken: a program that reads its standard input in ``sources`` should leave by
    ``os._exit`` or at its end.
    """
    room = threading.Semaphore(ahead)
    stopped = threading.Event()

    def feed() -> None:
        error = None
        try:
            remaining = iter(sources)
            while room.acquire() and not stopped.is_set():
                put(next(remaining))
        except StopIteration:
            pass
        except BaseException as found:  # raised where the results are taken
            error = found
        put(End(error))

    threading.Thread(target=feed, name=name, daemon=True).start()
    try:
        yield room.release
    finally:
        stopped.set()
        room.release()


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
                raise self._failure.with_traceback(None)
            with self._counting:
                upto = self._asked
            try:
                self._flush()
            except Exception as error:
                self._failure = error
                raise
            self._done = upto
