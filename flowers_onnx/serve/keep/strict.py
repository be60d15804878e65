"""strict: photo and row are in the bucket before the answer."""

from __future__ import annotations

from collections.abc import Sequence

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.keeper import Keeper
from flowers_onnx.serve.trace.row import TraceRow


class StrictLedger:
    """A ``Ledger`` without a memory of its own: what was acknowledged is in the bucket."""

    def __init__(self, keep: str | None, trace: str | None, instance: str) -> None:
        self._keeper = Keeper(keep, trace, instance)
        parts = [f"the photo is in {keep}"] * bool(keep) + [f"the row is in {trace}"] * bool(trace)
        self.promise = f"strict: {' and '.join(parts)} before the answer is given"
        self.trace = self._keeper.trace

    async def start(self) -> None:
        await self._keeper.start(needed=True)

    def problem(self) -> str | None:
        return self._keeper.problem() or self._keeper.full()

    async def record(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> None:
        why = self._keeper.problem()
        admitted = None if why else self._keeper.admit(rows, photos)
        if admitted is None:
            self._keeper.note(rows, refused=True)
            raise StorageError("read_error", why or self._keeper.full() or "too much waits")
        await self._keeper.keep_admitted(admitted, answered=False)

    def note(self, rows: Sequence[TraceRow]) -> None:
        self._keeper.note(rows)

    def gauges(self) -> dict[str, float]:
        return self._keeper.gauges()

    async def close(self) -> None:
        await self._keeper.close()
