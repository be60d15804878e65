"""``flowers beam``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

from flowers_onnx.beam.options import Options, beside, target
from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.results import Query


def beam(
    *words: str,
    out: Annotated[
        str | None,
        Flag(
            "SINK",
            "FILE.jsonl or FILE.parquet, here or in a bucket, written as "
            "FILE-00000-of-00012.parquet and so on, or bigquery://PROJECT.DATASET.TABLE, which "
            "is appended to",
        ),
    ] = None,
    dead_letter: Annotated[
        str | None,
        Flag(
            "OUT",
            "where the rows with an error go a second time (FILE.errors.jsonl,\n"
            "or the table TABLE_errors)",
        ),
    ] = None,
    exif: flags.Exif = False,
    top_k: Annotated[int, Flag("N", "candidates an image (5)", flags.count())] = 5,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    model: Annotated[
        str | None,
        Flag(
            "FILE",
            "ONNX file made by export/convert.py, as the workers see it ($FLOWERS_ONNX_MODEL of "
            "the workers, else the model that ships)",
        ),
    ] = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Classify images with Apache Beam: here, or on Dataflow, Flink or Spark.

    Usage:
      flowers beam SOURCE... --out SINK [--FLAG VALUE ...] [-- --OPTION VALUE ...]

    SOURCE is a file, a folder, a pattern, gs://bucket/prefix or s3://bucket/prefix, and the
    rows are those of flowers batch. What follows -- goes to Beam as it is, such as
    --runner DataflowRunner; without a runner, the pipeline runs here, in this process. Needs
    the extra [beam]; docs/beam.md has full commands for each runner.

    Flags:
    {flags}

    A source whose name begins with a dash is given as ./-name.
    """
    # Beam's options all begin with a dash, and no source does: `./-name` is the same file.
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    sources, runner_options = words[:first], words[first:]
    if not sources:
        raise UsageError("beam needs a SOURCE: a file, a folder, a pattern, gs:// or s3://")
    if out is None:
        raise UsageError("beam needs --out: FILE.jsonl, FILE.parquet or bigquery://P.DATASET.TABLE")
    options = Options(
        sources=sources,
        out=target("out", out),
        dead_letter=target("dead_letter", dead_letter or beside(out)),
        query=Query(top_k, lang, min_confidence),
        model=model,
        max_pixels=max_pixels,
        exif=exif,
        runner_options=runner_options,
    )
    if find_spec("apache_beam") is None:
        raise missing_extra("beam", "flowers beam")

    def work() -> int:
        from flowers_onnx.beam.run import run

        return run(options)

    return Job(work)
