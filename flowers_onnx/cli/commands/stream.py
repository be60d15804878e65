"""``flowers stream``."""

from __future__ import annotations

from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.results import Query
from flowers_onnx.stream.options import Options


def stream(
    *,
    framing: Annotated[
        str,
        Flag(
            "F",
            "jsonl, or raw: a 4-byte big-endian length and the image's bytes, instead of each "
            "line (jsonl)",
            flags.choice("jsonl", "raw"),
        ),
    ] = "jsonl",
    threads: flags.Threads = None,
    top_k: flags.TopK = 5,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    model: flags.Model = None,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
) -> Job:
    """Answer requests of another program, on standard input and output.

    Usage:
      flowers stream [--FLAG VALUE ...]

    The first line out says that the model is loaded; then one JSON line answers each
    request, in order. A request is a line such as {"id": 1, "path": "photo.jpg"}, with
    "bytes" (base64) in place of "path" if wanted, and "top_k", "lang" and
    "min_confidence". A bad request or photo gets an error for an answer and costs the
    others nothing. The end of standard input, or SIGTERM, ends the stream when what was
    accepted is answered.
    docs/embedding.md has the protocol and clients.

    Flags:
    {flags}
    """
    options = Options(framing, Query(top_k, lang, min_confidence), model, threads, max_pixels)

    def work() -> int:
        from flowers_onnx.machine import share_one_heap
        from flowers_onnx.stream.run import run

        share_one_heap()
        return run(options)

    return Job(work)
