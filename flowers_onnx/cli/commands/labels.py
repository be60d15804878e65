"""``flowers labels``."""

from __future__ import annotations

from flowers_onnx.cli.command import FORMATS, Job
from flowers_onnx.cli.flags import choice


def labels(*, format: str = "text", lang: str = "en", model: str | None = None) -> Job:
    """List the classes that the model knows.

    Usage:
      flowers labels [--FLAG VALUE ...]

    Flags:
      --format F         text, json, jsonl or csv (text)
      --lang L           names in en, es or la: English, Spanish, Latin (en)
      --model FILE       ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
    """
    chosen_format = choice("format", format, FORMATS)
    chosen_lang = choice("lang", lang, ("en", "es", "la"))

    def work() -> int:
        from flowers_onnx.metadata import read_info
        from flowers_onnx.onnx_file import find_model
        from flowers_onnx.writers import open_output, write_table

        rows = [
            {
                "class_id": label.class_id,
                "label": label.name(chosen_lang),
                "scientific_name": label.scientific_name,
            }
            for label in read_info(find_model(model)).labels
        ]
        with open_output(None) as stream:
            write_table(chosen_format, rows, stream)
        return 0

    return Job(work)
