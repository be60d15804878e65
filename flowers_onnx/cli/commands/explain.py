"""``flowers explain``."""

from __future__ import annotations

from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.results import Query


def explain(
    *paths: str,
    out: Annotated[
        str | None,
        Flag(
            "FILE",
            "a picture (.png, .jpg, .webp) of one photo, a folder of pictures, one page "
            "(.html), or the numbers (.jsonl)",
            flags.new_file,
        ),
    ] = None,
    label: Annotated[
        str | None,
        Flag("NAME", "explain this class, a name or an id, not each photo's best one"),
    ] = None,
    top_k: flags.TopK = 5,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    model: flags.Model = None,
    threads: flags.Threads = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Show which parts of a photo speak for its name.

    Usage:
      flowers explain PHOTO... --out why.png [--FLAG VALUE ...]

    PHOTO is a file, a folder, a pattern or -, as for flowers classify. The names are the
    same to the last digit; beside them is the photo with what speaks for the best of them.
    docs/explain.md tells how to read it.

    Flags:
    {flags}
    """
    if not paths:
        raise UsageError("explain needs a PHOTO: a file, a folder, a pattern or -")
    flags.read_stdin_once(paths)
    if out is None or out == "-":
        raise UsageError("explain needs --out: why.png, a folder, why.html or why.jsonl")
    from flowers_onnx.explain.options import Options, form_of

    form_of(out)
    query = Query(top_k, lang, min_confidence)
    options = Options(paths, out, label, query, model, threads, max_pixels)

    def work() -> int:
        from flowers_onnx.explain.run import run
        from flowers_onnx.machine import share_one_heap

        share_one_heap()
        return run(options)

    return Job(work)
