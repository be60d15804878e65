"""``flowers batch``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job


def batch(
    *sources: str,
    out: str | None = None,
    from_: str | None = None,
    shard: str | None = None,
    fetch: str = "16",
    max_errors: str | None = None,
    retry_errors: bool = False,
    journal: str | None = None,
    log_format: str = "text",
    top_k: str = "5",
    lang: str = "en",
    model: str | None = None,
    threads: str | None = None,
    max_pixels: str | None = None,
) -> Job:
    """Classify a bucket or a folder into a file or a table, and continue where a run stopped.

    Usage:
      flowers batch SOURCE... --out RESULT [--FLAG VALUE ...]

    SOURCE is a folder, a file, a pattern, gs://bucket/folder or s3://bucket/folder. RESULT
    is a file that ends in .jsonl, .csv, .parquet or .sqlite, here or in a bucket, or
    bigquery://project.dataset.table. It appears, or grows, when all images are done; until
    then the rows are in a journal, and the same command goes on after a crash. What is in
    RESULT isn't done again. docs/batch.md tells more.

    Flags:
      --out RESULT       where the rows go; RESULT.run.json beside it tells of the run
      --from LIST        images to do: a text file with a path or URI a line, or a .csv or
                         .jsonl with path (or uri) and maybe id; - is standard input
      --shard I/N        do only part I, from 0, of N (CLOUD_RUN_TASK_INDEX and _COUNT)
      --fetch N          objects that are read at a time (16)
      --max_errors N     stop when more than N images failed (never)
      --retry_errors     do those again that failed in an earlier run
      --journal PLACE    a path or bucket URI for the unfinished rows (RESULT.journal)
      --log_format F     text, or json for log collectors (text)
      --top_k N          candidates a photo (5)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --threads N        photos in work at a time (one more than the CPUs that this process is
                         allowed)
      --max_pixels N     most pixels decoded for one image (24000000)
    """
    from flowers_onnx.batch.options import parse

    options = parse(
        sources,
        manifest=from_,
        out=out,
        journal=journal,
        shard=shard,
        fetch=fetch,
        max_errors=max_errors,
        retry_errors=bool(retry_errors),
        log_format=log_format,
        top_k=top_k,
        lang=lang,
        model=model,
        threads=threads,
        max_pixels=max_pixels,
    )

    def work() -> int:
        from flowers_onnx.batch.run import run
        from flowers_onnx.machine import share_one_heap

        share_one_heap()
        return run(options)

    return Job(work)
