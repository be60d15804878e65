"""``flowers beam``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job


def beam(
    *words: str,
    out: str | None = None,
    dead_letter: str | None = None,
    top_k: str | None = None,
    lang: str = "en",
    model: str | None = None,
    max_pixels: str | None = None,
) -> Job:
    """Classify images with Apache Beam: here, or on Dataflow, Flink or Spark.

    Usage:
      flowers beam SOURCE... --out SINK [--FLAG VALUE ...] [-- --BEAM_OPTION VALUE ...]

    SOURCE is a file, a folder, a pattern, gs://bucket/prefix or s3://bucket/prefix, and the
    rows are those of flowers batch. What follows -- goes to Beam as it is, such as
    --runner DataflowRunner; without a runner, the pipeline runs here, in this process. Needs
    the extra [beam]; docs/beam.md has full commands for each runner.

    Flags:
      --out SINK         FILE.jsonl or FILE.parquet, here or in a bucket, written as
                         FILE-00000-of-00012.parquet and so on, or
                         bigquery://PROJECT.DATASET.TABLE, which is appended to
      --dead_letter OUT  where the rows with an error go a second time (FILE.errors.jsonl,
                         or the table TABLE_errors)
      --top_k N          candidates an image (5)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --model FILE       ONNX file made by export/convert.py, as the workers see it
                         ($FLOWERS_ONNX_MODEL of the workers, else the model that ships)
      --max_pixels N     most pixels decoded for one image (24000000)

    A source whose name begins with a dash is given as ./-name.
    """
    from flowers_onnx.beam.options import parse

    options = parse(
        words,
        out=out,
        dead_letter=dead_letter,
        top_k=top_k,
        lang=lang,
        model=model,
        max_pixels=max_pixels,
    )

    def work() -> int:
        from flowers_onnx.beam.run import run

        return run(options)

    return Job(work)
