"""``flowers labels``."""

from __future__ import annotations

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Job


def labels(
    *, format: flags.Format = "text", lang: flags.Lang = "en", model: flags.Model = None
) -> Job:
    """List the classes that the model knows.

    Usage:
      flowers labels [--FLAG VALUE ...]

    Flags:
    {flags}
    """

    def work() -> int:
        from flowers_onnx.metadata import read_info
        from flowers_onnx.onnx_file import find_model
        from flowers_onnx.writers import open_output, write_table

        rows = [label.to_row(lang) for label in read_info(find_model(model)).labels]
        with open_output(None) as stream:
            write_table(format, rows, stream)
        return 0

    return Job(work)
