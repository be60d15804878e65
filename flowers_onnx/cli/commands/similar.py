"""``flowers similar``."""

from __future__ import annotations

import os
from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.similar.options import Options


def similar(
    *paths: str,
    index: Annotated[
        str | None, Flag("INDEX", "the file of indexed photos, on this machine", flags.new_file)
    ] = None,
    add: Annotated[
        bool, Flag("", "add the photos to INDEX, which is made if there is none")
    ] = False,
    top_k: Annotated[
        int | None, Flag("N", "photos that are given for each PHOTO (5)", flags.count())
    ] = None,
    format: flags.FormatOfOut = None,
    lang: flags.Lang = "en",
    out: flags.Results = None,
    model: flags.Model = None,
    threads: flags.Threads = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Find the photos of an index that look most like others.

    Usage:
      flowers similar --index INDEX --add FOLDER...
      flowers similar PHOTO... --index INDEX [--FLAG VALUE ...]

    FOLDER and PHOTO are files, folders (searched recursively) or patterns, PHOTO also - for
    the bytes of an image on standard input. Added photos are in INDEX when all are done;
    after a crash the same command goes on, and later it does new and changed photos only.
    Each photo found has its likeness, 100 % where the network sees no difference; a copy
    is of the same bytes, a near-duplicate most likely the same picture or one of a burst.
    docs/similar.md tells more.

    Flags:
    {flags}

    Put -- before names that begin with a dash.
    """
    if index is None:
        raise UsageError("similar needs --index: the file that --add makes")
    if not paths:
        raise UsageError("similar needs a PHOTO, or with --add a FOLDER")
    if add and "-" in paths:
        raise UsageError("--add takes files and folders, not standard input (-)")
    if add and (top_k, format, out) != (None, None, None):
        raise UsageError("--add finds nothing: no --top_k, --format or --out beside it")
    flags.read_stdin_once(paths)
    if out is not None and os.path.realpath(out) == os.path.realpath(index):
        raise UsageError(f"--out {out} would overwrite the index")
    options = Options(
        paths=paths,
        index=index,
        add=add,
        top_k=top_k or 5,
        format=flags.form_of(format, out, flags.FORMS),
        lang=lang,
        out=out,
        model=model,
        threads=threads,
        max_pixels=max_pixels,
    )

    def work() -> int:
        from flowers_onnx.similar.run import run

        return run(options)

    return Job(work)
