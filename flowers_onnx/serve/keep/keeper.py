"""Photos, then rows, to their places; what waits is bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.groups import Groups
from flowers_onnx.serve.keep.lines import lines_of, unavailable, without_photos
from flowers_onnx.serve.keep.place import Place
from flowers_onnx.serve.keep.uploads import AT_A_TIME, Hold, Uploads
from flowers_onnx.serve.trace.row import TraceRow

#: What may wait: requests, rows, bytes of photos and rows; and notes, which nobody waits for. All
#: of it, and what the process needs around it, is less than 20 MB.
MAX_REQUESTS = 128
MAX_ROWS = 4000
MAX_BYTES = 12 << 20
MAX_NOTES = 2000
MAX_NOTE_BYTES = 3 << 20

#: How long a server that stops waits for what is on its way.
CLOSE_SECONDS = 2.5


class Admitted(NamedTuple):
    """A request that is let in: its lines, and what it holds."""

    lines: list[bytes]
    photos: Sequence[KeptPhoto]
    photos_hold: Hold
    release_lines: Callable[[], None]


class Keeper:
    """What the ledgers without a disk share; from the event loop's thread alone."""

    def __init__(self, keep: str | None, trace: str | None, instance: str) -> None:
        self.keep = Place(keep, AT_A_TIME) if keep else None
        self.trace = Place(trace, AT_A_TIME) if trace else None
        self._uploads = Uploads(self.keep) if self.keep else None
        self._groups = Groups(self.trace, instance) if self.trace else None
        self._budget, self._note_budget = Budget(MAX_BYTES), Budget(MAX_NOTE_BYTES)
        self._requests = self._notes = 0
        self.rows_dropped = 0

    async def start(self, *, needed: bool) -> None:
        """Raise ``StorageError`` if nothing can be made in one of the places, ``needed`` now."""
        for place in self._places:
            await (place.check() if needed else place.check_or_say())

    def problem(self) -> str | None:
        """Why nothing can be kept just now, or None."""
        return next((why for place in self._places if (why := place.problem())), None)

    def full(self) -> str | None:
        """Why nothing more can wait, or None."""
        if (
            self._requests >= MAX_REQUESTS
            or self._budget.used >= MAX_BYTES
            or self._rows >= MAX_ROWS
        ):
            places = " and ".join(place.uri for place in self._places)
            return f"too much waits for {places}"
        return None

    def admit(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> Admitted | None:
        """Let a request in that ``keep_admitted`` is called with next; None if there is no room."""
        if self.full():
            return None
        lines = lines_of(rows) if self.trace else []
        photos = photos if self.keep else []
        size, row_size = sum(len(photo.data) for photo in photos), sum(map(len, lines))
        if not self._budget.try_take(size + row_size):
            return None
        return Admitted(
            lines,
            photos,
            Hold(partial(self._budget.give_back, size)),
            partial(self._budget.give_back, row_size),
        )

    async def keep_admitted(self, request: Admitted, *, answered: bool) -> None:
        """Keep photos, then rows; raises ``StorageError``.

        What can't be kept makes the rows say 503, unless the request has its answer already.
        """
        lines, photos, hold, release = request
        self._requests += 1
        try:
            if photos and self._uploads:
                try:
                    await self._uploads.keep(photos, hold)
                except (StorageError, asyncio.CancelledError):
                    late = partial(unavailable, photos_kept=False)
                    self._write_behind((without_photos if answered else late)(lines), release)
                    raise
            if not lines or not self._groups:
                release()
            elif answered:
                self._groups.note(lines, release)
            else:
                await self._groups.put(lines, release)
        finally:
            self._requests -= 1
            hold.drop()

    def note(self, rows: Sequence[TraceRow], *, refused: bool = False) -> None:
        """Rows that nobody waits for, ``refused`` if they were given to ``record``."""
        if not self._groups or not rows:
            return
        if self._notes + len(rows) <= MAX_NOTES:
            lines = lines_of(rows)
            if refused:
                lines = unavailable(lines, photos_kept=False)
            size = sum(map(len, lines))
            if self._note_budget.try_take(size):
                self._notes += len(rows)
                self._groups.note(lines, partial(self._noted, len(rows), size))
                return
        self.rows_dropped += len(rows)

    def gauges(self) -> dict[str, float]:
        """Figures for ``/metrics``."""
        figures: dict[str, float] = {
            "ledger_requests_pending": self._requests,
            "ledger_bytes_pending": self._budget.used + self._note_budget.used,
            "ledger_down": self.problem() is not None,
            "ledger_failures_total": sum(place.failures for place in self._places),
        }
        if self._groups:
            figures |= {
                "ledger_rows_pending": self._rows,
                "ledger_rows_written_total": self._groups.rows_written,
                "ledger_rows_dropped_total": self.rows_dropped,
                "ledger_objects_written_total": self._groups.objects_written,
            }
        if self._uploads:
            figures["ledger_photos_written_total"] = self._uploads.photos_written
        return figures

    async def drained(self) -> None:
        """Return when no row waits."""
        if self._groups:
            await self._groups.drained()

    async def close(self) -> None:
        """Write what waits, for some seconds, then give it up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.drained(), CLOSE_SECONDS)
        for part in (self._groups, self._uploads, *self._places):
            if part:
                part.close()

    @property
    def _places(self) -> list[Place]:
        return [place for place in (self.keep, self.trace) if place]

    @property
    def _rows(self) -> int:
        return self._groups.rows_pending if self._groups else 0

    def _write_behind(self, lines: list[bytes], release: Callable[[], None]) -> None:
        if lines and self._groups:
            self._groups.note(lines, release)
        else:
            release()

    def _noted(self, rows: int, size: int) -> None:
        self._notes -= rows
        self._note_budget.give_back(size)
