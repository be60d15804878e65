"""Images from a list to results: read by many threads, classified by few, none held up by another.

A slow object waits alone, and so does a slow list: what has been read meanwhile is classified, and
what has been classified is given. Bytes are counted from the moment they are asked for until
their image has its result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

from flowers_onnx.concurrency import Budget, End, source_thread
from flowers_onnx.results import Query, Result
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage.images import read_image
from flowers_onnx.storage.item import Item

if TYPE_CHECKING:
    from flowers_onnx.classifier import Classifier

#: Bytes that may be under way at a time, unless a single object has more.
_MAX_BYTES = 64 << 20

#: What an object counts for whose size isn't known before it is read.
_USUAL_BYTES = 1 << 20

_Read = tuple[bytes | Unreadable, Item]


def classified(
    items: Iterable[Item], classifier: Classifier, query: Query, at_a_time: int
) -> Iterator[tuple[Item, Result]]:
    """Each image as it was read, and its result, in the order in which they arrived.

    ``items`` are taken by a thread of their own; an error of theirs is raised at once. Objects
    are read ``at_a_time``, and classified by as many threads as ``classifier`` has.
    """
    # A listed image, the end of the list, an image that was read, None for a result.
    events: SimpleQueue[Item | End | Future[_Read] | None] = SimpleQueue()
    listed: deque[Item] = deque()
    reading: dict[Future[_Read], int] = {}  # and what each costs
    working: deque[tuple[Future[Result], Item, int]] = deque()
    most = at_a_time + 2 * classifier.threads
    budget = Budget(_MAX_BYTES)
    readers = ThreadPoolExecutor(at_a_time, thread_name_prefix="flowers-fetch")
    workers = ThreadPoolExecutor(classifier.threads, thread_name_prefix="flowers-worker")
    end: End | None = None
    with source_thread(items, ahead=at_a_time + 1, put=events.put, name="flowers-list") as go_on:
        try:
            while end is None or listed or reading or working:
                match events.get():
                    case Item() as item:
                        listed.append(item)
                    case End() as end:
                        if end.error:
                            raise end.error
                    case Future() as done:
                        cost = reading.pop(done)
                        content, item = done.result()
                        result = workers.submit(classifier.result, content, query)
                        working.append((result, item, cost))
                        result.add_done_callback(lambda _result: events.put(None))
                while working and working[0][0].done():
                    result, item, cost = working.popleft()
                    budget.give_back(cost)
                    yield item, result.result()
                while (
                    listed
                    and len(reading) < at_a_time
                    and len(reading) + len(working) < most
                    and budget.try_take(cost := _cost(listed[0]))
                ):
                    future = readers.submit(read_image, listed.popleft())
                    reading[future] = cost
                    future.add_done_callback(events.put)
                    go_on()
        finally:
            for pool in (readers, workers):
                pool.shutdown(wait=False, cancel_futures=True)


def _cost(item: Item) -> int:
    return _USUAL_BYTES if item.size is None else item.size
