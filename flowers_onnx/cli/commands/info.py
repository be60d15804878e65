"""``flowers info``."""

from __future__ import annotations

from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job


def info(
    *,
    format: Annotated[str, Flag("F", "text or json (text)", flags.choice("text", "json"))] = "text",
    model: flags.Model = None,
    threads: flags.Threads = None,
) -> Job:
    """Show the model, its metadata, the environment and the threads in use.

    Usage:
      flowers info [--FLAG VALUE ...]

    Flags:
    {flags}
    """

    def work() -> int:
        from flowers_onnx.classifier import Classifier
        from flowers_onnx.environment import installation_facts
        from flowers_onnx.writers import open_output, write_facts

        with open_output(None) as stream:
            write_facts(format, installation_facts(Classifier(model, threads=threads)), stream)
        return 0

    return Job(work)
