"""``--fresh``: rows in a table of BigQuery within seconds, most of them once.

Beside the trace, which is where no row is lost or doubled: this one is behind the answer, in
memory, and gives up rather than hold anybody up. docs/trace.md has the view without repeats.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace.objects import row_id
from flowers_onnx.serve.trace.row import REQUESTS, TraceRow
from flowers_onnx.storage.uris import is_table
from flowers_onnx.tables import sink_for

if TYPE_CHECKING:
    from flowers_onnx.tables.bigquery import BigQueryTable

_LOG = logging.getLogger(__name__)

#: Rows that wait, about a kilobyte each; the oldest make room.
MOST_WAITING = 20_000
#: Rows of one request: the service advises no more.
_BATCH = 500
#: Seconds between two tries that fail, at first and at most.
_PAUSES = (1, 60)
#: Seconds between two complaints.
_SAY_EVERY = 60
#: Seconds that the end waits for what is left.
_LAST_SECONDS = 3


class Fresh:
    """Inserts rows in a thread of its own; made, and used, in the event loop's thread."""

    def __init__(self, uri: str) -> None:
        """Raises ``UsageError`` for what is no table, a missing extra or missing credentials."""
        if not is_table(uri):
            raise UsageError(f"--fresh needs bigquery://project.dataset.table, not {uri}")
        self._uri = uri
        self._table = cast("BigQueryTable", sink_for(uri, REQUESTS))
        self._rows: deque[TraceRow] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._sent = self._dropped = self._failures = 0
        self._said = -float(_SAY_EVERY)
        self._thread = threading.Thread(target=self._run, name="flowers-fresh", daemon=True)

    def start(self) -> None:
        """Begin; whatever is wrong with the table is said on standard error, and waited for."""
        self._thread.start()

    def note(self, rows: Sequence[TraceRow]) -> None:
        """Have these inserted soon, or dropped and counted."""
        with self._changed:
            self._rows.extend(rows)
            self._drop(len(self._rows) - MOST_WAITING)
            self._changed.notify()

    def gauges(self) -> dict[str, float]:
        """Rows that wait, and totals of rows sent, rows dropped and requests that failed."""
        return {
            "fresh_rows_waiting": len(self._rows),
            "fresh_rows_sent": self._sent,
            "fresh_rows_dropped": self._dropped,
            "fresh_failures": self._failures,
        }

    async def close(self) -> None:
        """Insert what waits, for a few seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, _LAST_SECONDS)
        if self._rows:
            _LOG.warning("%s: %d rows weren't inserted", self._uri, len(self._rows))

    def _run(self) -> None:
        pause = _PAUSES[0]
        while batch := self._next():
            try:
                refused = self._table.insert({row_id(row): row for row in batch})
            except Exception as error:  # a thread that died would drop all in silence
                self._put_back(batch)
                self._complain(str(error) or type(error).__name__)
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, pause):
                        return
                pause = min(2 * pause, _PAUSES[1])
                continue
            pause = _PAUSES[0]
            with self._changed:
                self._sent += len(batch) - len(refused)
                self._dropped += len(refused)
            if refused:
                self._complain(f"{len(refused)} rows are refused: {refused[0]}")

    def _next(self) -> list[TraceRow]:
        """The oldest rows, once there are any; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._closing)
            batch = list(islice(self._rows, _BATCH))
            for _ in batch:
                self._rows.popleft()
            return batch

    def _put_back(self, batch: list[TraceRow]) -> None:
        with self._changed:
            self._failures += 1
            self._rows.extendleft(reversed(batch))
            self._drop(len(self._rows) - MOST_WAITING)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._rows.popleft()
        self._dropped += max(count, 0)

    def _complain(self, reason: str) -> None:
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            _LOG.warning(
                "--fresh: %s; %d rows wait, %d are dropped", reason, len(self._rows), self._dropped
            )
