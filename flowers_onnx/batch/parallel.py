"""Many objects under way at a time, but never more bytes than memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from flowers_onnx.batch.item import Item

T = TypeVar("T")

#: Bytes of objects that may be under way, unless a single one has more.
_MAX_BYTES = 64 << 20

#: What an object counts for whose size isn't known before it is read.
_USUAL_BYTES = 1 << 20


def in_parallel(items: Iterator[Item], work: Callable[[Item], T], at_a_time: int) -> Iterator[T]:
    """``work`` on each item, in whatever order it is done: a slow one doesn't hold up others.

    At most ``at_a_time`` items are taken ahead of the result that is given.
    """
    done: SimpleQueue[Future[T]] = SimpleQueue()
    sizes: dict[Future[T], int] = {}  # of what is under way
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="flowers-worker")
    held = 0
    waiting: Item | None = next(items, None)
    try:
        while waiting or sizes:
            while waiting and len(sizes) < at_a_time:
                size = waiting.size if waiting.size is not None else _USUAL_BYTES
                if sizes and held + size > _MAX_BYTES:
                    break
                future = pool.submit(work, waiting)
                sizes[future] = size
                future.add_done_callback(done.put)
                held += size
                waiting = next(items, None)
            future = done.get()
            held -= sizes.pop(future)
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
