"""Fetching: many objects under way at a time, but never more bytes than memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from flowers_onnx.concurrency import Budget
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage.images import read_image
from flowers_onnx.storage.item import Item

#: Bytes that may be fetched and not yet taken, unless a single object has more.
_MAX_BYTES = 64 << 20

#: What an object counts for whose size isn't known before it is read.
_USUAL_BYTES = 1 << 20

#: An object's bytes, or why there are none, and the object as it was read.
Fetched = tuple[bytes | Unreadable, Item]


def fetch(items: Iterator[Item], at_a_time: int) -> Iterator[Fetched]:
    """Read ``items``, in whatever order they arrive: a slow one doesn't hold up the others."""
    arrived: SimpleQueue[Future[Fetched]] = SimpleQueue()
    sizes: dict[Future[Fetched], int] = {}  # of what is under way
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="flowers-fetch")
    budget = Budget(_MAX_BYTES)
    waiting: Item | None = next(items, None)
    try:
        while waiting or sizes:
            while waiting and len(sizes) < at_a_time:
                size = waiting.size if waiting.size is not None else _USUAL_BYTES
                if not budget.try_take(size):
                    break
                future = pool.submit(read_image, waiting)
                sizes[future] = size
                future.add_done_callback(arrived.put)
                waiting = next(items, None)
            future = arrived.get()
            yield future.result()
            budget.give_back(sizes.pop(future))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
