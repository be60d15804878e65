"""What ``flowers batch`` is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowers_onnx.batch.shard import Shard
from flowers_onnx.errors import UsageError
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import is_table, table_of

#: Seconds that a watched file must be the same, where nothing else is said.
SETTLE = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a batch; ``out`` and ``journal`` are this shard's own."""

    sources: tuple[str, ...]
    manifest: str | None
    out: str
    journal: str
    shard: Shard
    fetch: int
    max_errors: int | None
    retry_errors: bool
    log_format: str
    mix_settings: bool
    exif: bool
    sidecar: bool
    query: Query
    model: str | None
    threads: int | None
    max_pixels: int
    #: Seconds that a file must be the same, where folders are watched; None: they aren't.
    settle: float | None = None

    def arguments(self) -> dict[str, Any]:
        """All of it in plain values, those of the query among the others."""
        given = asdict(self)
        return {
            name: value
            for key in given
            for name, value in (given[key] if key == "query" else {key: given[key]}).items()
        }

    @property
    def record(self) -> str:
        """Where the provenance record goes: beside the result, or beside the journal of a table."""
        base = self.journal.removesuffix(".journal") if is_table(self.out) else self.out
        return f"{base}.run.json"


def journal_of(out: str, journal: str | None, shard: Shard) -> str:
    """Where a shard keeps its unfinished rows, be it told (``journal``) or not."""
    if journal is not None and journal.rstrip("/") == out:
        raise UsageError("--journal and --out must be two places")
    if journal:
        return journal.rstrip("/") + shard.suffix
    if is_table(out):
        return ".".join(table_of(out)) + f"{shard.suffix}.journal"
    return f"{shard.name(out)}.journal"
