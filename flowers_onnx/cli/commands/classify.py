"""``flowers classify``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.results import Query, Result

if TYPE_CHECKING:
    from flowers_onnx.writers import ResultWriter


def classify(
    *paths: str,
    top_k: Annotated[
        int | None,
        Flag(
            "N",
            "candidates a photo (5; text shows only the best unless it is given)",
            flags.count(),
        ),
    ] = None,
    format: flags.FormatOfOut = None,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    out: flags.Results = None,
    model: flags.Model = None,
    threads: flags.Threads = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Name the flower in each photo.

    Usage:
      flowers classify PATH... [--FLAG VALUE ...]

    PATH is a file, a folder (searched recursively; images are told by content), a glob
    pattern, or - for the bytes of an image on standard input. Results come in the order
    of the input, one a photo; a photo that can't be read costs the others nothing.

    Flags:
    {flags}

    Put -- before names that begin with a dash.
    """
    if not paths:
        raise UsageError("classify needs a PATH: a file, a folder, a pattern or -")
    flags.read_stdin_once(paths)
    tables = (".parquet", ".sqlite", ".dwc.csv")
    if format is None and out is not None and out.lower().endswith(tables):
        raise UsageError(
            f"--out {out}: flowers batch makes such files, classify {', '.join(flags.FORMS)}"
        )
    query = Query(top_k or 5, lang, min_confidence)

    def work() -> int:
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.machine import share_one_heap
        from flowers_onnx.sources import RawFiles, expand
        from flowers_onnx.writers import open_output, result_writer

        many = len(paths) > 1 or not (paths[0] == "-" or os.path.isfile(paths[0]))
        if many:  # a single photo uses a single thread
            share_one_heap()
        classifier = Classifier(model, threads=threads, max_pixels=max_pixels)
        with open_output(out) as stream:
            form, classes = flags.form_of(format, out, flags.FORMS), len(classifier.info.labels)
            writer = result_writer(form, stream, show=top_k or 1, classes=classes)
            raw = RawFiles()
            sources = expand(paths, sys.stdin.buffer if sys.stdin else None, raw.note)
            results = classifier.results(sources, query)
            if many and sys.stderr.isatty():
                failures = _write_watched(writer, results, paths, out)
            else:
                failures = writer.write_all(results)
        if raw:
            say(f"flowers: {raw}")
        return 1 if failures else 0

    return Job(work)


def _write_watched(
    writer: ResultWriter, results: Iterable[Result], paths: tuple[str, ...], out: str | None
) -> int:
    """Write them all, and show how far it is."""
    from flowers_onnx.progress import Progress, visible_beside, watched
    from flowers_onnx.sources import expand

    with Progress(wanted=visible_beside(out)) as progress:
        progress.expect(lambda: sum(1 for _ in expand(paths, None)))
        return writer.write_all(watched(results, progress))
