"""Where photos and rows stay: what is promised of them before the client gets its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from flowers_onnx.serve.trace.row import TraceRow

#: What is promised; docs/keep-and-trace.md says it in full.
Durability = Literal["strict", "spool", "best-effort"]


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A photo on its way to its place; ``name`` is the hash of what was sent and a suffix."""

    name: str
    data: bytes


class Ledger(Protocol):
    """Keeps rows and photos. Used from the event loop's thread alone.

    The bucket is the ledger: ``KEEP/<sha256>.<ext>`` is a photo, and
    ``TRACE/dt=YYYY-MM-DD/<instance>-<sequence>.jsonl`` the rows of one group, made once and never
    overwritten. The day is that of writing, so that a late object is in a late folder.
    """

    #: What is promised, in a line for who starts the server.
    promise: str

    async def start(self) -> None:
        """Begin, and take up what an earlier process left; raises ``FlowersError``."""

    def problem(self) -> str | None:
        """Why a request couldn't be kept just now, or None: ``/readyz`` and admission ask."""

    async def record(self, rows: Sequence[TraceRow], photos: Sequence[KeptPhoto]) -> None:
        """Return when these are kept as promised; raises ``StorageError`` if they can't be.

        Refuses at once when too much waits already, or the place doesn't answer. It may be
        cancelled, when the time for an answer is over. Either way the rows are the ledger's, and
        not to be noted again: a row that isn't on its way yet then says status 503.
        """

    def note(self, rows: Sequence[TraceRow]) -> None:
        """Keep the rows of a refusal, behind the answer; counted and dropped if too many wait."""

    def gauges(self) -> dict[str, float]:
        """Figures for ``/metrics``: pending rows and bytes, rows dropped, groups written, ..."""

    async def close(self) -> None:
        """Write what waits, for a few seconds at most."""
