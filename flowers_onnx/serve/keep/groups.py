"""Group commit: one object for all rows that came while the last one was written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep.lines import ObjectNames, is_late, unavailable
from flowers_onnx.serve.keep.place import FIRST_PAUSE, LAST_PAUSE, Place

#: One object holds no more rows or bytes.
_GROUP_ROWS = 2000
_GROUP_BYTES = 2 << 20


@dataclass(eq=False, slots=True)
class _Entry:
    """The rows of one request, and who waits for them: nobody, for a note."""

    lines: list[bytes]
    done: asyncio.Future[None] | None
    release: Callable[[], None]
    under_way: bool = False

    def fail(self, error: StorageError) -> None:
        """Tell who waits, and have the rows say what the client is told."""
        if self.done is None:
            return
        if not self.done.done():
            self.done.set_exception(StorageError(error.code, str(error)))
            self.done.exception()  # it is no oversight if nobody asks
        self.lines = unavailable(self.lines, photos_kept=True)
        self.done = None


class Groups:
    """Writes rows to ``place``, an object at a time; from the event loop's thread alone.

    A group is fixed when its write begins: name and rows. A write that fails is tried again
    under the same name until it succeeds, so that no row is ever in two objects; nobody waits
    for it any longer, and its rows say so. ``release`` is called when an entry is written.
    """

    def __init__(self, place: Place, instance: str) -> None:
        self._place = place
        self._names = ObjectNames(instance)
        self._waiting: deque[_Entry] = deque()
        self._task: asyncio.Task[None] | None = None
        self.rows_pending = self.rows_written = self.objects_written = 0

    async def put(self, lines: list[bytes], release: Callable[[], None]) -> None:
        """Return when the rows are written; raises ``StorageError``.

        If it is cancelled before their write began, they will say status 503.
        """
        done = asyncio.get_running_loop().create_future()
        entry = _Entry(lines, done, release)
        self._add(entry)
        try:
            await done
        except asyncio.CancelledError:
            if not entry.under_way:
                entry.lines, entry.done = unavailable(entry.lines, photos_kept=True), None
            raise

    def note(self, lines: list[bytes], release: Callable[[], None]) -> None:
        """Write rows behind the answer."""
        self._add(_Entry(lines, None, release))

    async def drained(self) -> None:
        """Return when nothing waits."""
        while self._task and not self._task.done():
            await asyncio.wait([self._task])

    def close(self) -> None:
        """Give up what waits."""
        if self._task:
            self._task.cancel()

    def _add(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        self.rows_pending += len(entry.lines)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            await self._write(self._names.take(), group)
            for entry in group:
                if entry.done and not entry.done.done():
                    entry.done.set_result(None)
                entry.release()
            count = sum(len(entry.lines) for entry in group)
            self.rows_pending -= count
            self.rows_written += count
            self.objects_written += 1

    def _next_group(self) -> list[_Entry]:
        group: list[_Entry] = []
        rows = size = 0
        while self._waiting:
            entry = self._waiting[0]
            rows, size = rows + len(entry.lines), size + sum(map(len, entry.lines))
            if group and (rows > _GROUP_ROWS or size > _GROUP_BYTES):
                break
            entry.under_way = True
            group.append(self._waiting.popleft())
        return group

    async def _write(self, name: str, group: list[_Entry]) -> None:
        pause = FIRST_PAUSE
        while (error := await self._try(name, group)) is not None:
            for entry in (*group, *self._waiting):
                entry.fail(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
            if is_late(name) and await self._is_missing(name):
                name = self._names.take()

    async def _is_missing(self, name: str) -> bool:
        """Whether no try has arrived, as far as that can be told."""
        try:
            return await self._place.read(name) is None
        except StorageError:
            return False

    async def _try(self, name: str, group: list[_Entry]) -> StorageError | None:
        data = b"".join(line for entry in group for line in entry.lines)
        try:
            # False: an earlier try arrived, whatever we were told of it.
            await self._place.create(name, data)
        except StorageError as error:
            return error
        return None
