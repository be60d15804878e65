"""What ``flowers batch`` was asked for, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass

from flowers_onnx.batch.shard import Shard, parse_shard
from flowers_onnx.cpus import MAX_THREADS
from flowers_onnx.errors import UsageError
from flowers_onnx.pixels import MAX_PIXELS
from flowers_onnx.values import choice, count

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
    top_k: int
    lang: str
    model: str | None
    threads: int | None
    max_pixels: int

    @property
    def record(self) -> str:
        """Where the provenance record goes: beside the result, or beside the journal of a table."""
        base = self.journal.removesuffix(".journal") if _is_table(self.out) else self.out
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
        top_k=count("top_k", top_k),
        lang=choice("lang", lang, ("en", "es", "la")),
        model=model,
        threads=None if threads is None else count("threads", threads, MAX_THREADS),
        max_pixels=MAX_PIXELS if max_pixels is None else count("max_pixels", max_pixels),
    )


def _is_table(uri: str) -> bool:
    return uri.startswith("bigquery://")


def _journal(out: str, journal: str | None, shard: Shard) -> str:
    if journal is not None and journal.rstrip("/") == out:
        raise UsageError("--journal and --out must be two places")
    base = (journal or "").rstrip("/") or (
        out.removeprefix("bigquery://") if _is_table(out) else shard.name(out)
    )
    if journal or _is_table(out):
        base += shard.suffix
    return base if journal else f"{base}.journal"
