"""A folder or a bucket in which objects are made, each once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep.watch import Watch
from flowers_onnx.serve.threads import Threads
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_remote, split

_LOG = logging.getLogger(__name__)

R = TypeVar("R")

#: An empty object that each start tries to make: a wrong bucket, or a lack of rights, shows
#: before the first photo. It stays.
MARKER = ".flowers"

#: Seconds between two looks at a place that has failed, at first and at most.
FIRST_PAUSE, LAST_PAUSE = 1.0, 8.0
#: How long a start waits for a place that it can do without.
_CHECK_SECONDS = 5


class Place:
    """``--keep`` or ``--trace``; ``at_a_time`` calls in threads. From the loop's thread alone.

    Raises ``UsageError`` for a URI that makes no sense.
    """

    def __init__(self, uri: str, at_a_time: int) -> None:
        self._store = store_for(uri)
        if is_remote(uri):
            split(uri)
        self.uri = uri.rstrip("/") or uri
        self._watch = Watch(self.uri)
        self._threads = Threads(at_a_time, "flowers-keep")
        self._looking = Threads(1, "flowers-look")
        self._look: asyncio.Task[None] | None = None

    def problem(self) -> str | None:
        """Why nothing can be kept here just now, or None."""
        return self._watch.problem()

    @property
    def failures(self) -> int:
        """Calls that failed for good."""
        return self._watch.failures

    async def create(self, name: str, data: bytes) -> bool:
        """Make an object; False if there is one. Raises ``StorageError``."""
        return await self._call(
            self._threads, partial(self._store.write, self._uri(name), data, if_absent=True)
        )

    async def read(self, name: str) -> bytes | None:
        """An object, or None; raises ``StorageError``."""
        return await self._call(self._threads, partial(self._store.download, self._uri(name)))

    async def check(self) -> None:
        """Raise ``StorageError`` if nothing can be made here."""
        work = partial(self._store.write, self._uri(MARKER), b"", if_absent=True)
        await self._looking.run(work)

    async def check_or_say(self) -> None:
        """The same, but what may pass is only said."""
        try:
            await asyncio.wait_for(self.check(), _CHECK_SECONDS)
        except TimeoutError:
            _LOG.warning("%s does not answer; going on without it", self.uri)
        except StorageError as error:
            if error.code != "read_error" or not is_remote(self.uri):
                raise
            _LOG.warning("%s; going on without it", error)

    def close(self) -> None:
        """Let the threads go."""
        if self._look:
            self._look.cancel()
        self._threads.close()
        self._looking.close()

    async def _call(self, threads: Threads, work: Callable[[], R]) -> R:
        try:
            with self._watch.call():
                return await threads.run(work)
        except StorageError:
            # Who is refused for it makes no call that could show that it is over.
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._look_until_it_works())
            raise

    async def _look_until_it_works(self) -> None:
        pause = FIRST_PAUSE
        while self._watch.failed:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
            if self._watch.failed:
                with contextlib.suppress(StorageError), self._watch.call():
                    await self.check()

    def _uri(self, name: str) -> str:
        return f"{self.uri.rstrip('/')}/{name}"
