"""Threads that share work and memory, without more of either than was agreed."""

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


class Workers:
    """Threads for work; where the system gives fewer, those do all, and without any the caller."""

    def __init__(self, threads: int, name: str) -> None:
        from concurrent.futures import ThreadPoolExecutor  # what a single photo does without

        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._has_thread = self._is_alone = False

    def begin(self, work: Callable[[S], R], source: S) -> Future[R]:
        """What ``work`` will make of ``source``, or has made already."""
        from concurrent.futures import Future

        result = Future[R]()
        if not self._is_alone:
            try:
                self._pool.submit(_settle, result, work, source)
                self._has_thread = True
            except RuntimeError as error:
                if "new thread" not in str(error):  # the program ends
                    raise
                # It is in the queue all the same, and a thread that there is will do it.
                self._is_alone = not self._has_thread
        if self._is_alone:
            _settle(result, work, source)
        return result

    def stop(self) -> None:
        """Begin nothing any more, and wait for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def map_ordered(
    work: Callable[[S], R], sources: Iterable[S], *, threads: int, ahead: int, name: str
) -> Iterator[R]:
    """What ``work`` makes of each source, in order, by ``threads`` threads called ``name``.

    ``ahead`` sources are taken beyond the result that is given, never more, so that ``sources``
    may be endless. Errors of ``work`` are raised in their place, those of ``sources`` at once.
    What hasn't begun when the caller stops never begins, and nothing is waited for. Sources are
    taken by the caller's thread, so that a result may wait for the next one to come. Where the
    system gives fewer threads, those do all, and without any the caller's does.
    """
    remaining = iter(sources)
    first = list(islice(remaining, 2))
    if len(first) == 1:  # nothing to overlap with: spare the threads
        yield work(first[0])
        return
    workers = Workers(threads, name)
    waiting: deque[Future[R]] = deque()
    try:
        for source in chain(first, remaining):
            waiting.append(workers.begin(work, source))
            while waiting and (waiting[0].done() or len(waiting) > ahead):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        workers.stop()


def _settle(future: Future[R], work: Callable[[S], R], source: S) -> None:
    try:
        result = work(source)
    except BaseException as error:  # raised where the result is taken
        future.set_exception(error)
    else:
        future.set_result(result)


class End(NamedTuple):
    """There are no more sources, or no more can be had."""

    error: BaseException | None


def try_start(work: Callable[[], object], *, name: str, daemon: bool = False) -> bool:
    """Begin ``work`` in a thread of its own; False where the system gives no more threads."""
    try:
        threading.Thread(target=work, name=name, daemon=daemon).start()
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def source_thread(
    sources: Iterable[S], *, ahead: int, put: Callable[[S | End], None], name: str
) -> Iterator[Callable[[], None]]:
    """Give ``sources``, then an ``End``, to ``put`` in a thread of their own.

    It gives ``ahead`` of them, and another one for each call of the function that the block
    gets; that call itself gives it where no thread can be had. ``sources`` must not mind the
    thread. When the block ends, one that is waited for just then is still taken: a program that
    reads its standard input in ``sources`` should leave by ``os._exit`` or at its end.
    """
    remaining = iter(sources)
    room = threading.Semaphore(ahead)
    giving, stopped = threading.Lock(), threading.Event()

    def give() -> None:
        with giving:
            if stopped.is_set():
                return
            try:
                put(next(remaining))
            except BaseException as error:  # raised where the results are taken
                stopped.set()
                put(End(None if isinstance(error, StopIteration) else error))

    def feed() -> None:
        while room.acquire() and not stopped.is_set():
            give()

    go_on: Callable[[], None] = room.release
    if not try_start(feed, name=name, daemon=True):
        go_on = give
        for _ in range(ahead):
            give()
    try:
        yield go_on
    finally:
        stopped.set()
        room.release()
