"""``flowers report``."""

from __future__ import annotations

import sys
from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.cli.flags import choice, count, new_file
from flowers_onnx.errors import UsageError
from flowers_onnx.report.options import Options
from flowers_onnx.report.texts import LANGUAGES
from flowers_onnx.tables.reading import check_result


def report(
    *results: str,
    out: Annotated[
        str | None,
        Flag("FILE", "write the page to FILE, all at once when done (standard output)", new_file),
    ] = None,
    lang: Annotated[
        str,
        Flag("L", "the page's own words in en or es: English, Spanish (en)", choice(*LANGUAGES)),
    ] = "en",
    max_photos: Annotated[
        int, Flag("N", "most photos, and most errors, shown; all are counted (2000)", count())
    ] = 2000,
    why: Annotated[
        bool, Flag("", "over each photo, what in it spoke for its name; the model looks again")
    ] = False,
    model: flags.Model = None,
) -> Job:
    """Make one HTML page, with the photos in it, from the results of a run.

    Usage:
      flowers report RESULTS... --out report.html [--FLAG VALUE ...]

    RESULTS is what flowers batch or flowers classify --out wrote: .jsonl, .json, .csv,
    .parquet or .sqlite; several, such as shards, make one page. The page needs no server
    and no network: photos by species, filters, charts and errors. Photos that can't be
    read any more get a placeholder. docs/report.md says more. Exit code 1: no results.

    Flags:
    {flags}
    """
    if not results:
        raise UsageError("report needs RESULTS: a file that batch or classify wrote")
    if out in (None, "-") and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a page is for a browser: add --out report.html, or > report.html")
    if model is not None and not why:
        raise UsageError("--model is what --why looks with: add --why")
    options = Options(results, out, lang, max_photos, why, model)

    def work() -> int:
        for place in results:
            check_result(place)
        from flowers_onnx.report.run import run  # loads what draws

        return run(options)

    return Job(work)
