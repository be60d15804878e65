"""Fetching: many objects under way at a time, but never more bytes than memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.storage.item import Item

#: Bytes that may be fetched and not yet taken, unless a single object has more.
_MAX_BYTES = 64 << 20

#: What an object counts for whose size isn't known before it is read.
_USUAL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object's bytes, or why there are none."""

    item: Item
    content: bytes | ImageError


def fetch(
    items: Iterator[Item], read: Callable[[Item], tuple[bytes, Item]], at_a_time: int
) -> Iterator[Fetched]:
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
                future = pool.submit(_fetch, read, waiting)
                sizes[future] = size
                future.add_done_callback(arrived.put)
                waiting = next(items, None)
            future = arrived.get()
            yield future.result()
            budget.give_back(sizes.pop(future))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch(read: Callable[[Item], tuple[bytes, Item]], item: Item) -> Fetched:
    try:
        content, item = read(item)
    except ImageError as error:
        return Fetched(item, error)
    return Fetched(item, content)
