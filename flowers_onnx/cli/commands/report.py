"""``flowers report``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job
from flowers_onnx.cli.flags import choice, count
from flowers_onnx.errors import UsageError


def report(
    *results: str, out: str | None = None, lang: str = "en", max_photos: str = "2000"
) -> Job:
    """Make one HTML page, with the photos in it, from the results of a run.

    Usage:
      flowers report RESULTS... --out report.html [--FLAG VALUE ...]

    RESULTS is what flowers batch or flowers classify --output wrote: .jsonl, .json, .csv,
    .parquet or .sqlite; several, such as shards, make one page. The page needs no server
    and no network: photos by species, filters, charts and errors. Photos that can't be
    read any more get a placeholder. docs/report.md says more. Exit code 1: no results.

    Flags:
      --out FILE         write the page to FILE, all at once when done (standard output)
      --lang L           the page's own words in en or es: English, Spanish (en)
      --max_photos N     most photos, and most errors, shown; all are counted (2000)
    """
    if not results:
        raise UsageError("report needs RESULTS: a file that batch or classify wrote")
    chosen_lang = choice("lang", lang, ("en", "es"))
    most = count("max_photos", max_photos)

    def work() -> int:
        from flowers_onnx.report.run import run

        return run(results, out, chosen_lang, most)

    return Job(work)
