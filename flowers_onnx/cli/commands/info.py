"""``flowers info``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job
from flowers_onnx.cli.flags import choice, count
from flowers_onnx.machine import MAX_THREADS


def info(*, format: str = "text", model: str | None = None, threads: str | None = None) -> Job:
    """Show the model, its metadata, the environment and the threads in use.

    Usage:
      flowers info [--FLAG VALUE ...]

    Flags:
      --format F         text or json (text)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --threads N        photos in work at a time (the CPUs that this process is allowed)
    """
    chosen_format = choice("format", format, ("text", "json"))
    thread_count = None if threads is None else count("threads", threads, MAX_THREADS)

    def work() -> int:
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.environment import installation_facts
        from flowers_onnx.writers import open_output, write_facts

        with open_output(None) as stream:
            write_facts(
                chosen_format, installation_facts(Classifier(model, threads=thread_count)), stream
            )
        return 0

    return Job(work)
