"""What ``flowers batch`` was asked for, checked before any work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowers_onnx.batch.shard import Shard, parse_shard
from flowers_onnx.cli.flags import choice, count
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.machine import MAX_THREADS
from flowers_onnx.metadata import LANGUAGES
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import is_table, table_of

_MAX_FETCH = 256


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
    query: Query
    model: str | None
    threads: int | None
    max_pixels: int

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


def parse(
    sources: tuple[str, ...],
    *,
    manifest: str | None,
    out: str | None,
    journal: str | None,
    shard: str | None,
    fetch: str,
    max_errors: str | None,
    retry_errors: bool,
    log_format: str,
    top_k: str,
    lang: str,
    model: str | None,
    threads: str | None,
    max_pixels: str | None,
) -> Options:
    """Check the flags; raises ``UsageError``."""
    if not sources and manifest is None:
        raise UsageError(
            "batch needs a SOURCE: a folder, a pattern, gs://... or s3://..., or --from"
        )
    if out is None:
        raise UsageError("batch needs --out: a file, gs://..., s3://... or bigquery://...")
    part = parse_shard(shard)
    return Options(
        sources=sources,
        manifest=manifest,
        out=part.name(out),
        journal=_journal(out, journal, part),
        shard=part,
        fetch=count("fetch", fetch, _MAX_FETCH),
        max_errors=None if max_errors is None else count("max_errors", max_errors, least=0),
        retry_errors=retry_errors,
        log_format=choice("log_format", log_format, ("text", "json")),
        query=Query(count("top_k", top_k), choice("lang", lang, LANGUAGES)),
        model=model,
        threads=None if threads is None else count("threads", threads, MAX_THREADS),
        max_pixels=MAX_PIXELS if max_pixels is None else count("max_pixels", max_pixels),
    )


def _journal(out: str, journal: str | None, shard: Shard) -> str:
    if journal is not None and journal.rstrip("/") == out:
        raise UsageError("--journal and --out must be two places")
    if journal:
        return journal.rstrip("/") + shard.suffix
    if is_table(out):
        return ".".join(table_of(out)) + f"{shard.suffix}.journal"
    return f"{shard.name(out)}.journal"
