"""The latencies drawn, with matplotlib (the extra ``[plot]``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from itertools import groupby
from typing import Any

from flowers_onnx.benchmark.document import QUANTILES, STAGES, Document, Row
from flowers_onnx.errors import OutputError
from flowers_onnx.scratch import scratch_folder

#: What one sample of a scenario is, as a title says it.
_TITLES = {
    "cold": "cold: one photo, in a new process",
    "single-stream": "single-stream: one photo at a time",
    "offline": "offline: all photos at once, divided by their number",
}
#: Where no stages are known.
_WHOLE = {"total": "all of it", "cpu": "CPU time"}
#: Told apart by the colour-blind too (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_BINS = 40
#: Bars in one panel that still have room for their values.
_MOST_VALUES = 36


def draw(result: Document, path: str) -> None:
    """For each scenario the stages' medians, and below each other how the totals spread.

    Raises ``OutputError`` if ``path`` can't be written.
    """
    with scratch_folder() as folder:
        # It keeps a cache of fonts below HOME, where this program writes nothing.
        os.environ.setdefault("MPLCONFIGDIR", folder)
        image = BytesIO()
        suffix = os.path.splitext(path)[1].lower()
        figure_of(result).savefig(image, format=suffix.removeprefix("."), dpi=120)
    try:
        with open(path, "xb") as file:
            file.write(image.getvalue())
    except OSError as error:
        raise OutputError(f"can't write to {path}: {error.strerror}") from error


def figure_of(result: Document) -> Any:
    """A matplotlib figure; what is compared has one scale, and every axis its unit."""
    from matplotlib.figure import Figure

    groups = [list(rows) for _, rows in groupby(result["rows"], lambda row: row["scenario"])]
    heights = [_inches(rows) for rows in groups]
    figure = Figure(figsize=(12, 0.7 + sum(heights)), layout="constrained")
    figure.suptitle(
        f"Time of a photo: flowers {result['program']}, {result['environment']['cpu']}\n"
        "p50, p90, p99: so many percent of the samples took no longer"
    )
    parts = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, rows in zip(parts, groups, strict=True):
        scenario = rows[0]["scenario"]
        part.suptitle(_TITLES.get(scenario, scenario), x=0.01, ha="left", fontweight="bold")
        grid = part.add_gridspec(len(rows), 2, width_ratios=(5, 6))
        _draw_stages(part.add_subplot(grid[:, 0]), rows)
        _draw_totals([part.add_subplot(grid[index, 1]) for index in range(len(rows))], rows)
    return figure


def _inches(rows: Sequence[Row]) -> float:
    return max(0.9 + 0.13 * (len(rows) + 0.6) * len(_stages(rows)), 0.9 + 1.5 * len(rows))


def _stages(rows: Sequence[Row]) -> list[str]:
    return [name for name in STAGES if name in rows[0]["ms"]] or list(_WHOLE)


def _case(row: Row) -> str:
    threads = row["threads"]
    return f"{row['model']['name']}, {threads} thread{'s' if threads > 1 else ''}"


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _draw_stages(axes: Any, rows: Sequence[Row]) -> None:
    """A group of bars a stage, one bar a case."""
    names = _stages(rows)
    size = 0.8 / len(rows)
    for index, row in enumerate(rows):
        medians = [row["ms"][name]["p50"] if name in row["ms"] else 0.0 for name in names]
        places = [place + size * index for place in range(len(names))]
        bars = axes.barh(places, medians, size, color=_colour(index), label=_case(row))
        if len(rows) * len(names) <= _MOST_VALUES:
            labels = list(map(_number, medians))
            axes.bar_label(bars, labels, padding=2, fontsize=7)
    middle = size * (len(rows) - 1) / 2
    axes.set_yticks([place + middle for place in range(len(names))])
    axes.set_yticklabels([_WHOLE.get(name, name) for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.12)  # room for the values
    axes.set_xlabel("median, milliseconds")
    axes.set_title("where the time goes" if len(names) > len(_WHOLE) else "in all", fontsize=10)
    _plain(axes)
    if len(rows) > 1:
        handles, labels = axes.get_legend_handles_labels()
        axes.figure.legend(handles, labels, loc="outside lower left", fontsize=8, frameon=False)


def _draw_totals(panels: Sequence[Any], rows: Sequence[Row]) -> None:
    """A histogram a case, all with the same bins and scales."""
    samples = [[one for run in row["samples"]["total"] for one in run] for row in rows]
    low = min(map(min, samples))
    high = max(row["ms"]["total"]["p99"] for row in rows)
    high += 0.02 * (high - low) or 0.01 * high
    for index, (axes, row, values) in enumerate(zip(panels, rows, samples, strict=True)):
        axes.hist(values, bins=_BINS, range=(low, high), color=_colour(index), alpha=0.75)
        axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
        beyond = sum(value > high for value in values)
        note = f", {beyond} beyond the scale" if beyond else ""
        title = f"{_case(row)}: {len(values)} sample{'s' * (len(values) > 1)}{note}"
        axes.set_title(title, fontsize=10, color=_colour(index), pad=31)
        axes.set_ylabel("samples")
        axes.yaxis.get_major_locator().set_params(integer=True)
        _mark_quantiles(axes, row)
        _plain(axes)
    most = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(0, most)
    panels[-1].set_xlabel("a photo's time, milliseconds")


def _mark_quantiles(axes: Any, row: Row) -> None:
    """Lines with their names above the axes; those that nearly meet lean apart."""
    total, places = row["ms"]["total"], (("right", -2, 4), ("center", 0, 16), ("left", 2, 4))
    for name, (place, *offset) in zip(QUANTILES, places, strict=True):
        axes.axvline(total[name], color="black", linewidth=1)
        axes.annotate(
            f"{name} {_number(total[name])}",
            (total[name], 1),
            offset,
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=place,
            fontsize=8,
        )


def _number(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
