"""The commands: each checks its arguments and returns a job; the job does the work.

Their docstrings are the help texts that users see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from flowers_onnx.cpus import MAX_THREADS
from flowers_onnx.errors import UsageError
from flowers_onnx.values import choice, count

FORMATS = ("text", "json", "jsonl", "csv")


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is ready to start and gives the exit code.

    Not callable itself: Fire would call it before the arguments are known to be valid.
    """

    work: Callable[[], int]


def classify(
    *paths: str,
    top_k: str | None = None,
    format: str = "text",
    lang: str = "en",
    output: str | None = None,
    model: str | None = None,
    threads: str | None = None,
    max_pixels: str | None = None,
) -> Job:
    """Name the flower in each photo.

    Usage:
      flowers classify PATH... [--FLAG VALUE ...]

    PATH is a file, a folder (searched recursively; images are told by content), a glob
    pattern, or - for the bytes of an image on standard input. Results come in the order
    of the input, one a photo; a photo that can't be read costs the others nothing.

    Flags:
      --top_k N          candidates a photo (5; text shows only the best unless it is given)
      --format F         text, json, jsonl or csv (text)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --output FILE      write the results to FILE, all at once when done (standard output)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --threads N        photos in work at a time (the CPUs that this process is allowed)
      --max_pixels N     most pixels decoded for one image (24000000)

    Put -- before names that begin with a dash.
    """
    if not paths:
        raise UsageError("classify needs a PATH: a file, a folder, a pattern or -")
    if paths.count("-") > 1:
        raise UsageError("standard input (-) can be read only once")
    candidates = None if top_k is None else count("top_k", top_k)
    chosen_format = choice("format", format, FORMATS)
    chosen_lang = choice("lang", lang, ("en", "es", "la"))
    limits = {} if max_pixels is None else {"max_pixels": count("max_pixels", max_pixels)}
    thread_count = None if threads is None else count("threads", threads, MAX_THREADS)

    def work() -> int:
        from flowers_onnx import heap
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.sources import expand
        from flowers_onnx.writers import open_output, result_writer

        if len(paths) > 1 or os.path.isdir(paths[0]):  # a single photo uses a single thread
            heap.share_one()
        classifier = Classifier(model, threads=thread_count, **limits)
        with open_output(output) as stream:
            writer = result_writer(chosen_format, stream, show=candidates or 1)
            sources = expand(paths, sys.stdin.buffer if sys.stdin else None)
            results = classifier.classify_many(sources, top_k=candidates or 5, lang=chosen_lang)
            return 1 if writer.write_all(results) else 0

    return Job(work)


def stream(
    *,
    framing: str = "jsonl",
    workers: str | None = None,
    top_k: str | None = None,
    lang: str = "en",
    model: str | None = None,
    max_pixels: str | None = None,
) -> Job:
    """Answer requests of another program, on standard input and output.

    Usage:
      flowers stream [--FLAG VALUE ...]

    The first line out says that the model is loaded; then one JSON line answers each
    request, in order. A request is a line such as {"id": 1, "path": "photo.jpg"}, with
    "bytes" (base64) in place of "path" if wanted, and "top_k" and "lang". A bad request
    or photo gets an error for an answer and costs the others nothing. The end of
    standard input, or SIGTERM, ends the stream when what was accepted is answered.
    docs/embedding.md has the protocol and clients.

    Flags:
      --framing F        jsonl, or raw: a 4-byte big-endian length and the image's bytes,
                         instead of each line (jsonl)
      --workers N        photos in work at a time (the CPUs that this process is allowed)
      --top_k N          candidates a photo (5)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --max_pixels N     most pixels decoded for one image (24000000)
    """
    chosen_framing = choice("framing", framing, ("jsonl", "raw"))
    worker_count = None if workers is None else count("workers", workers, MAX_THREADS)
    candidates = 5 if top_k is None else count("top_k", top_k)
    chosen_lang = choice("lang", lang, ("en", "es", "la"))
    limits = {} if max_pixels is None else {"max_pixels": count("max_pixels", max_pixels)}

    def work() -> int:
        from flowers_onnx import heap
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.stream.requests import Options
        from flowers_onnx.stream.server import serve

        heap.share_one()
        classifier = Classifier(model, threads=worker_count, **limits)
        serve(classifier, chosen_framing, Options(candidates, chosen_lang))
        return 0

    return Job(work)


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
        from flowers_onnx.beam.command import run

        return run(options)

    return Job(work)


def benchmark(
    *paths: str,
    scenario: str = "cold,single-stream,offline",
    threads: str | None = None,
    model: str | None = None,
    format: str = "table",
    output: str | None = None,
    min_runs: str = "10",
    max_seconds: str = "60",
    precision: str = "2",
    warmup: str = "1",
    compare: str | None = None,
    fail_above: str = "1.10",
    plot: str | None = None,
) -> Job:
    """Measure how long classification takes here, and where the time goes.

    Usage:
      flowers benchmark [PATH...] [--FLAG VALUE ...]

    PATH is a photo, a folder or a pattern; without one, a photo is made up. All values
    of --scenario, --threads and --model are measured with each other, in turns. The run
    ends when every median is known precisely enough, or when its time is up.
    docs/benchmark.md says what each figure includes.

    Flags:
      --scenario LIST    cold: a new process for each photo; single-stream: one photo at a
                         time; offline: all photos at once (cold,single-stream,offline)
      --threads LIST     photos in work at a time, such as 1,2; matters for offline only (the
                         CPUs that this process is allowed)
      --model LIST       ONNX files, such as a.onnx,b.onnx ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --format F         table, md, json, jsonl or csv; json keeps every sample (table)
      --output FILE      write the result to FILE, all at once when done (standard output)
      --min_runs N       runs of each, at least (10)
      --max_seconds S    time to measure in all; a run that has begun is finished (60)
      --precision P      enough when the 95 % interval of each median is within P percent
                         of it (2)
      --warmup N         runs of each that are not counted (1)
      --compare OLD      JSON of an earlier run: print ratios, and exit with 1 if slower;
                         OLD,NEW compares two files and measures nothing
      --fail_above R     slower means: a ratio above R whose interval is above 1 (1.10)
      --plot FILE        also draw the latencies, as .png or .svg (needs the extra [plot])
    """
    from flowers_onnx.benchmark.options import parse

    options = parse(
        paths,
        scenario=scenario,
        threads=threads,
        model=model,
        format=format,
        output=output,
        min_runs=min_runs,
        max_seconds=max_seconds,
        precision=precision,
        warmup=warmup,
        compare=compare,
        fail_above=fail_above,
        plot=plot,
    )

    def work() -> int:
        from flowers_onnx.benchmark.command import run

        return run(options)

    return Job(work)


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

    SOURCE is a folder, a file, a pattern, gs://bucket/prefix or s3://bucket/prefix. RESULT
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
      --threads N        photos in work at a time (the CPUs that this process is allowed)
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
        from flowers_onnx import heap
        from flowers_onnx.batch.run import run

        heap.share_one()
        return run(options)

    return Job(work)


def labels(*, format: str = "text", lang: str = "en", model: str | None = None) -> Job:
    """List the classes that the model knows.

    Usage:
      flowers labels [--FLAG VALUE ...]

    Flags:
      --format F         text, json, jsonl or csv (text)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
    """
    chosen_format = choice("format", format, FORMATS)
    chosen_lang = choice("lang", lang, ("en", "es", "la"))

    def work() -> int:
        from flowers_onnx.metadata import read_info
        from flowers_onnx.onnx_file import find_model
        from flowers_onnx.writers import open_output, write_table

        rows = [
            {
                "class_id": label.class_id,
                "label": label.name(chosen_lang),
                "scientific_name": label.scientific_name,
            }
            for label in read_info(find_model(model)).labels
        ]
        with open_output(None) as stream:
            write_table(chosen_format, rows, stream)
        return 0

    return Job(work)


def info(*, format: str = "text", model: str | None = None, threads: str | None = None) -> Job:
    """Show the model, its metadata, the environment and the threads in use.

    Usage:
      flowers info [--FLAG VALUE ...]

    Flags:
      --format F         text or json (text)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --threads N        photos in work at a time (the CPUs that this process is allowed)
    """
    chosen_format = choice("format", format, ("text", "json"))
    thread_count = None if threads is None else count("threads", threads, MAX_THREADS)

    def work() -> int:
        from flowers_onnx.report import describe
        from flowers_onnx.writers import open_output, write_facts

        with open_output(None) as stream:
            write_facts(chosen_format, describe(model, thread_count), stream)
        return 0

    return Job(work)


COMMANDS: dict[str, Callable[..., Job]] = {
    "classify": classify,
    "stream": stream,
    "batch": batch,
    "beam": beam,
    "benchmark": benchmark,
    "labels": labels,
    "info": info,
}
