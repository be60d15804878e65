"""``flowers stream``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job
from flowers_onnx.cli.flags import choice, count
from flowers_onnx.machine import MAX_THREADS


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
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.machine import share_one_heap
        from flowers_onnx.results import Query
        from flowers_onnx.stream.run import serve

        share_one_heap()
        classifier = Classifier(model, threads=worker_count, **limits)
        serve(classifier, chosen_framing, Query(candidates, chosen_lang))
        return 0

    return Job(work)
