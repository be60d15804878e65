"""Images from a list to results: each by one thread all the way, none held up by another.

A slow object waits alone, and so does a slow list: what has come meanwhile is classified and given.
Bytes are counted from the moment they are asked for until their image has its result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING

from flowers_onnx.concurrency import End, source_thread, try_start
from flowers_onnx.exif import Taken, taken
from flowers_onnx.results import Query, Result
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage.images import BoundedReader, Read, read_image
from flowers_onnx.storage.item import Admit, Item

if TYPE_CHECKING:
    from flowers_onnx.classifier import Classifier

#: Seconds that a list has to tell, before anything is done, that it is wrong near its beginning.
_FIRST_LOOK = 0.5

#: An image as it was read, its result, and what its EXIF says.
Done = tuple[Item, Result, Taken]


def classified(
    items: Iterable[Item],
    classifier: Classifier,
    query: Query,
    at_a_time: int,
    *,
    exif: bool = False,
) -> Iterator[Done]:
    """Each image as it was read, its result, and, with ``exif``, when and where it was taken.

    They come in the order in which they were done.

    ``items`` are taken by a thread of their own; an error of theirs is raised at once. Objects
    are read ``at_a_time``, and classified by as many threads as ``classifier`` has. Where the
    system gives fewer threads, those do all, and without any the caller's does.
    """
    crew = _Crew(classifier, query, at_a_time, exif=exif)
    with source_thread(items, ahead=crew.most + 1, put=crew.put, name="flowers-list") as go_on:
        try:
            yield from crew.results(go_on)
        finally:
            crew.stop()


class _StoppedError(Exception):
    """Nobody takes the result."""


class _Crew:
    """Threads that take images from the list; there is one more as long as there is work for it."""

    def __init__(self, classifier: Classifier, query: Query, at_a_time: int, *, exif: bool) -> None:
        self._classifier, self._query, self._exif = classifier, query, exif
        self._reader = BoundedReader()
        self._reading = threading.Semaphore(at_a_time)
        self._working = threading.Semaphore(classifier.threads)
        self.most = at_a_time + classifier.threads
        #: How many more threads there may be, and how many are at work.
        self._to_hire, self._present = self.most, 0
        self._counting = threading.Lock()
        self._stopped = threading.Event()
        self._given, self._looked = 0, threading.Event()
        #: What has been begun, or is done and waits to be taken.
        self._room = threading.Semaphore(2 * self.most)
        self._listed: SimpleQueue[Item | End] = SimpleQueue()
        self._results: SimpleQueue[Done | End] = SimpleQueue()
        self._go_on: Callable[[], None] = lambda: None

    def put(self, listed: Item | End) -> None:
        """Take an image of the list, or its end."""
        if isinstance(listed, End) and listed.error:
            self._results.put(listed)
        self._listed.put(listed)
        self._given += 1
        if self._given > self.most or isinstance(listed, End):
            self._looked.set()

    def results(self, go_on: Callable[[], None]) -> Iterator[Done]:
        """All of them; ``go_on`` has another image put in."""
        self._go_on = go_on
        self._looked.wait(_FIRST_LOOK)
        if self._results.empty() and not self._hire():  # else the list is wrong
            yield from self._alone()
            return
        while not isinstance(found := self._results.get(), End):
            yield found
            self._room.release()
        if found.error:
            raise found.error

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopped.set()
        self._listed.put(End(None))
        self._room.release(self.most)

    def _alone(self) -> Iterator[Done]:
        while not isinstance(item := self._listed.get(), End):
            self._go_on()
            yield self._done(item)
        if item.error:
            raise item.error

    def _hire(self) -> bool:
        with self._counting:
            if not self._to_hire:
                return False
            if not try_start(self._work, name="flowers-worker"):
                self._to_hire = 0
                return False
            self._to_hire -= 1
            self._present += 1
        return True

    def _work(self) -> None:
        try:
            while self._room.acquire() and not isinstance(item := self._listed.get(), End):
                self._go_on()
                self._hire()
                self._results.put(self._done(item))
            self._listed.put(item)  # for the next one
        except BaseException as error:  # raised where the results are taken
            self._results.put(End(error))
        with self._counting:
            self._present -= 1
            if not self._present:
                self._results.put(End(None))

    def _done(self, item: Item) -> Done:
        return self._reader.use(item, self._classify, self._read)

    def _read(self, item: Item, admit: Admit) -> Read:
        def admit_or_leave(size: int) -> None:
            admit(size)
            self._check()

        # Who waits for a turn holds nothing yet, and so holds up nobody who has one.
        with self._reading:
            self._check()
            return read_image(item, admit_or_leave)

    def _classify(self, content: bytes | Unreadable, item: Item) -> Done:
        with self._working:
            self._check()
            found = taken(content) if self._exif and isinstance(content, bytes) else Taken()
            return item, self._classifier.result(content, self._query), found

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError
