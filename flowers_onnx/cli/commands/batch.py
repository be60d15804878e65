"""``flowers batch``."""

from __future__ import annotations

from typing import Annotated

from flowers_onnx.batch.options import SETTLE, Options, journal_of
from flowers_onnx.batch.shard import Shard, assigned_shard, parse_shard
from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import is_remote


def batch(
    *sources: str,
    out: Annotated[
        str | None, Flag("RESULT", "where the rows go; RESULT.run.json beside it tells of the run")
    ] = None,
    from_: Annotated[
        str | None,
        Flag(
            "LIST",
            "images to do: a text file with a path or URI a line, or a .csv or .jsonl with path "
            "(or uri) and maybe id; - is standard input",
        ),
    ] = None,
    shard: Annotated[
        Shard | None,
        Flag(
            "I/N",
            "do only part I, from 0, of N (CLOUD_RUN_TASK_INDEX and _COUNT)",
            parse_shard,
        ),
    ] = None,
    fetch: Annotated[
        int, Flag("N", "objects that are read at a time (16)", flags.count(most=256))
    ] = 16,
    watch: Annotated[
        bool, Flag("", "go on with what comes into the folders, until SIGTERM or Ctrl-C")
    ] = False,
    settle: Annotated[
        float | None,
        Flag("SECONDS", "with --watch: how long a file must be the same (2)", flags.positive),
    ] = None,
    max_errors: Annotated[
        int | None, Flag("N", "stop when more than N images failed (never)", flags.count(least=0))
    ] = None,
    retry_errors: Annotated[bool, Flag("", "do those again that failed in an earlier run")] = False,
    mix_settings: Annotated[
        bool,
        Flag(
            "",
            "go on with a RESULT of another --lang, --top_k, --min_confidence, --exif or --model",
        ),
    ] = False,
    sidecar: Annotated[
        bool,
        Flag(
            "", "write what is known into photo.jpg.xmp beside each photo.jpg, for photo managers"
        ),
    ] = False,
    journal: Annotated[
        str | None,
        Flag("PLACE", "a path or bucket URI for the unfinished rows (RESULT.journal)"),
    ] = None,
    log_format: Annotated[
        str, Flag("F", "text, or json for log collectors (text)", flags.choice("text", "json"))
    ] = "text",
    exif: flags.Exif = False,
    top_k: flags.TopK = 5,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    model: flags.Model = None,
    threads: Annotated[
        int | None,
        Flag(
            "N",
            "photos in work at a time (one more than the CPUs that this process is allowed)",
            flags.thread_count,
        ),
    ] = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Classify a bucket or a folder into a file or a table, and continue where a run stopped.

    Usage:
      flowers batch SOURCE... --out RESULT [--FLAG VALUE ...]

    SOURCE is a folder, a file, a pattern, gs://bucket/folder or s3://bucket/folder. RESULT
    is a file that ends in .jsonl, .csv, .parquet, .sqlite or .dwc.csv (Darwin Core), here or
    in a bucket, or bigquery://project.dataset.table. It appears, or grows, when all images
    are done; until then the rows are in a journal, and the same command goes on after a
    crash. What is in RESULT isn't done again. docs/batch.md tells more.

    Flags:
    {flags}
    """
    if not sources and from_ is None:
        raise UsageError(
            "batch needs a SOURCE: a folder, a pattern, gs://... or s3://..., or --from"
        )
    if out is None:
        raise UsageError("batch needs --out: a file, gs://..., s3://... or bigquery://...")
    if sidecar and (remote := next(filter(is_remote, sources), None)):
        raise UsageError(f"--sidecar is for photos on this machine, not {remote}")
    if watch and from_ is not None:
        raise UsageError("--watch is for folders, and not for --from; repeat that by cron")
    if settle is not None and not watch:
        raise UsageError("--settle is for --watch")
    part = shard or assigned_shard()
    options = Options(
        sources=sources,
        manifest=from_,
        out=part.name(out),
        journal=journal_of(out, journal, part),
        shard=part,
        fetch=fetch,
        max_errors=max_errors,
        retry_errors=retry_errors,
        log_format=log_format,
        mix_settings=mix_settings,
        exif=exif,
        sidecar=sidecar,
        query=Query(top_k, lang, min_confidence),
        model=model,
        threads=threads,
        max_pixels=max_pixels,
        settle=(settle or SETTLE) if watch else None,
    )

    def work() -> int:
        from flowers_onnx.batch.run import run
        from flowers_onnx.machine import share_one_heap

        share_one_heap()
        return run(options)

    return Job(work)
