"""Fetching: many objects under way at a time, but never more bytes than memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from flowers_onnx.concurrency import Budget, End, source_thread
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage.images import read_image
from flowers_onnx.storage.item import Item

#: Bytes that may be fetched and not yet taken, unless a single object has more.
_MAX_BYTES = 64 << 20

#: What an object counts for whose size isn't known before it is read.
_USUAL_BYTES = 1 << 20

#: An object's bytes, or why there are none, and the object as it was read.
Fetched = tuple[bytes | Unreadable, Item]


def fetch(items: Iterable[Item], at_a_time: int) -> Iterator[Fetched]:
    """Read ``items``, in whatever order they arrive: a slow one doesn't hold up the others.

    Nor does the list of them: ``items`` are taken by a thread of their own.
    """
    events: SimpleQueue[Item | Future[Fetched] | End] = SimpleQueue()
    listed: deque[Item] = deque()
    costs: dict[Future[Fetched], int] = {}  # of what is under way
    budget = Budget(_MAX_BYTES)
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="flowers-fetch")
    end: End | None = None
    with source_thread(items, ahead=at_a_time, put=events.put, name="flowers-list") as go_on:
        try:
            while end is None or listed or costs:
                match events.get():
                    case Item() as item:
                        listed.append(item)
                    case End() as end:
                        if end.error:
                            raise end.error
                    case done:
                        yield done.result()
                        budget.give_back(costs.pop(done))
                while listed and len(costs) < at_a_time and budget.try_take(_cost(listed[0])):
                    item = listed.popleft()
                    future = pool.submit(read_image, item)
                    costs[future] = _cost(item)
                    future.add_done_callback(events.put)
                    go_on()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _cost(item: Item) -> int:
    return _USUAL_BYTES if item.size is None else item.size
