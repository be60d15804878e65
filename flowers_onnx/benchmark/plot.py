"""The latencies drawn, with matplotlib (the extra ``[plot]``)."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

from flowers_onnx.benchmark.document import QUANTILES, STAGES, Document, Row
from flowers_onnx.errors import OutputError
from flowers_onnx.scratch import scratch_folder


def draw(result: Document, path: str) -> None:
    """One line of panels a row: the stages' medians, and how the totals spread.

    Raises ``OutputError`` if ``path`` can't be written.
    """
    with scratch_folder() as folder:
        # It keeps a cache of fonts below HOME, where this program writes nothing.
        os.environ.setdefault("MPLCONFIGDIR", folder)
        image = _render(result, os.path.splitext(path)[1][1:].lower())
    try:
        with open(path, "xb") as file:
            file.write(image)
    except OSError as error:
        raise OutputError(f"can't write to {path}: {error.strerror}") from error


def _render(result: Document, format: str) -> bytes:
    from matplotlib.figure import Figure

    rows = result["rows"]
    figure = Figure(figsize=(11, 0.6 + 2.2 * len(rows)), layout="constrained")
    figure.suptitle(f"flowers {result['program']}, {result['environment']['cpu']}")
    for row, (stages, totals) in zip(
        rows, figure.subplots(len(rows), 2, squeeze=False), strict=True
    ):
        _draw_stages(stages, row)
        _draw_totals(totals, row)
    image = BytesIO()
    figure.savefig(image, format=format, dpi=120)
    return image.getvalue()


def _draw_stages(axes: Any, row: Row) -> None:
    names = [name for name in STAGES if name in row["ms"]] or ["total", "cpu"]
    medians = [row["ms"][name]["p50"] for name in names]
    axes.barh(names, medians)
    axes.invert_yaxis()
    axes.margins(x=0.15)  # room for the labels
    axes.bar_label(axes.containers[0], fmt="%.2f", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_title(f"{row['scenario']}, {row['threads']} thread(s), median ms", fontsize=9)


def _draw_totals(axes: Any, row: Row) -> None:
    total = row["ms"]["total"]
    axes.hist([sample for run in row["samples"]["total"] for sample in run], bins=30)
    for name, style in zip(QUANTILES, ("-", "--", ":"), strict=True):
        axes.axvline(total[name], linestyle=style, color="black", label=f"{name} {total[name]:.2f}")
    axes.legend(fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_title(f"{row['model']['name']}, total ms", fontsize=9)
