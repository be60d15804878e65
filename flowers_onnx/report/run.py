"""``flowers report`` from its options to its exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence

from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.report.options import Options
from flowers_onnx.report.page import Page
from flowers_onnx.report.summary import summarize
from flowers_onnx.report.texts import TEXTS
from flowers_onnx.report.thumbnails import thumbnails
from flowers_onnx.storage.uris import local_path, name_of
from flowers_onnx.tables.reading import read_results
from flowers_onnx.web.words import Words
from flowers_onnx.writers import open_output


def run(options: Options) -> int:
    """Write the page; 1 if there is no result to show, which the page says too."""
    results, out = options.results, options.out
    paths = [path for path in map(local_path, results) if path and os.path.exists(path)]
    if out and os.path.exists(out) and any(os.path.samefile(out, path) for path in paths):
        raise UsageError(f"--out {out} would overwrite the results")
    with open_output(out) as stream:
        summary = summarize(read_results(results), options.max_photos)
        folder = os.path.dirname(os.path.realpath(out)) if out and out != "-" else None
        words = Words(options.lang, TEXTS[options.lang])
        page = Page(summary, _name(results), folder, words)
        for part in page.parts(thumbnails):
            stream.write(part)
    if page.lacking:
        say(f"flowers: photos gone, changed or out of reach: {page.lacking}; the page says so")
    if not summary.total:
        say(f"flowers: no results in {', '.join(results)}")
        return 1
    return 0


def _name(results: Sequence[str]) -> str:
    """What the page is about: the files' names, if they are few."""
    names = [name_of(word) for word in results]
    return ", ".join(names[:3]) + (f" + {len(names) - 3}" if names[3:] else "")
