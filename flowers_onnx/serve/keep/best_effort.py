"""Ledgers that promise less, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.keeper import CLOSE_SECONDS, MAX_BYTES, Admitted, Keeper
from flowers_onnx.serve.trace.row import TraceRow


class BestEffortLedger:
    """A ``Ledger`` behind the answers; what there is no room for is dropped and counted."""

    def __init__(self, keep: str | None, trace: str | None, instance: str) -> None:
        self._keeper = Keeper(keep, trace, instance)
        parts = [f"photos go to {keep}"] * bool(keep) + [f"rows to {trace}"] * bool(trace)
        self.promise = (
            f"best-effort: {', '.join(parts)} behind the answer; a crash or an outage loses what "
            f"waits, {MAX_BYTES >> 20} MB at most"
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._photos_dropped = 0

    async def start(self) -> None:
        await self._keeper.start(needed=False)

    def problem(self) -> str | None:
        return None

    async def record(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> None:
        admitted = self._keeper.admit(rows, photos)
        if admitted is None:
            self._keeper.rows_dropped += len(rows)
            self._photos_dropped += len(photos)
            return
        task = asyncio.create_task(self._keep(admitted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, rows: Sequence[TraceRow]) -> None:
        self._keeper.note(rows)

    def gauges(self) -> dict[str, float]:
        return {**self._keeper.gauges(), "ledger_photos_dropped_total": self._photos_dropped}

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self._keeper.close()

    async def _keep(self, admitted: Admitted) -> None:
        try:
            await self._keeper.keep_admitted(admitted, answered=True)
        except StorageError:
            self._photos_dropped += len(admitted.photos)


class NoLedger:
    """A ``Ledger`` that keeps nothing."""

    promise = "nothing is kept: neither --keep nor --trace is given"

    async def start(self) -> None:
        pass

    def problem(self) -> str | None:
        return None

    async def record(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> None:
        pass

    def note(self, rows: Sequence[TraceRow]) -> None:
        pass

    def gauges(self) -> dict[str, float]:
        return {}

    async def close(self) -> None:
        pass
