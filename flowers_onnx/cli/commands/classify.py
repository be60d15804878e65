"""``flowers classify``."""

from __future__ import annotations

import os
import sys

from flowers_onnx.cli.command import FORMATS, Job
from flowers_onnx.cli.flags import choice, count
from flowers_onnx.errors import UsageError
from flowers_onnx.machine import MAX_THREADS


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
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.machine import share_one_heap
        from flowers_onnx.results import Query
        from flowers_onnx.sources import expand
        from flowers_onnx.writers import open_output, result_writer

        if len(paths) > 1 or os.path.isdir(paths[0]):  # a single photo uses a single thread
            share_one_heap()
        classifier = Classifier(model, threads=thread_count, **limits)
        with open_output(output) as stream:
            writer = result_writer(chosen_format, stream, show=candidates or 1)
            sources = expand(paths, sys.stdin.buffer if sys.stdin else None)
            results = classifier.results(sources, Query(candidates or 5, chosen_lang))
            return 1 if writer.write_all(results) else 0

    return Job(work)
