"""``flowers compare``."""

from __future__ import annotations

import sys
from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS

_FORMS = ("text", "json", "html")


def compare(
    *sides: str,
    index: Annotated[
        str | None,
        Flag("INDEX", "show example photos from this index of flowers similar", flags.new_file),
    ] = None,
    format: Annotated[
        str | None,
        Flag(
            "F",
            "text, json or html (what the name of --out ends in, else text)",
            flags.choice(*_FORMS),
        ),
    ] = None,
    lang: flags.Lang = "en",
    out: Annotated[
        str | None,
        Flag(
            "FILE",
            "write to FILE, such as page.html, all at once (standard output)",
            flags.new_file,
        ),
    ] = None,
    model: flags.Model = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Compare two species, or two photos, side by side.

    Usage:
      flowers compare A B [--FLAG VALUE ...]

    A and B are species, by a name in English, Spanish or Latin or by an id (flowers labels
    lists them), or photos, each of which also stands for its best name; a word that is a
    file is a photo. Shown are their names, genus and family, how alike they are to the
    model, and how often it took one for the other when it was evaluated. --out page.html
    makes a page for a class-room, in English or Spanish. docs/compare.md tells more.

    Flags:
    {flags}

    Put -- before names that begin with a dash.
    """
    if len(sides) != 2:
        raise UsageError(
            f"compare needs two species or photos, not {len(sides)}; quote a name of two words"
        )
    form = flags.form_of(format, "a.html" if out and out.lower().endswith(".htm") else out, _FORMS)
    if form == "html" and out in (None, "-") and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a page is for a browser: add --out page.html, or > page.html")
    from flowers_onnx.compare.options import Options

    options = Options(*sides, index, form, lang, out, model, max_pixels)

    def work() -> int:
        from flowers_onnx.compare.run import run

        return run(options)

    return Job(work)
