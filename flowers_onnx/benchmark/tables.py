"""Tables and histograms in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flowers_onnx.benchmark.samples import fences

_BINS, _BAR = 8, 40


@dataclass(frozen=True, slots=True)
class Table:
    """Labels, which go to the left, and figures, which go to the right, under their heads."""

    label_heads: tuple[str, ...]
    figure_heads: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], tuple[str, ...]]]

    def lines(self) -> list[tuple[str, ...]]:
        """The heads, then the rows."""
        heads = (*self.label_heads, *self.figure_heads)
        return [heads, *((*labels, *figures) for labels, figures in self.rows)]


def aligned(table: Table) -> str:
    """Columns side by side, for a terminal."""
    lines = table.lines()
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    labels = len(table.label_heads)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < labels else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(table: Table) -> str:
    """A Markdown table."""
    heads, *rows = table.lines()
    rule = ["---"] * len(table.label_heads) + ["---:"] * len(table.figure_heads)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in (heads, rule, *rows)
    )


def histogram(values: Sequence[float]) -> str:
    """How often which value came; those above Tukey's upper fence in a line of their own."""
    fence = fences(values)[1]
    usual = [value for value in values if value <= fence]
    counts, edges = np.histogram(usual, bins=min(_BINS, len(usual)))
    lines = [(f"{edge:.2f}", int(count)) for edge, count in zip(edges, counts, strict=False)]
    if beyond := len(values) - len(usual):
        lines.append((f"> {fence:.2f}", beyond))
    return "\n".join(_bars(lines))


def _bars(lines: list[tuple[str, int]]) -> Iterator[str]:
    width = max(len(label) for label, _ in lines)
    most = max(count for _, count in lines)
    for label, count in lines:
        bar = "█" * -(-count * _BAR // most)
        yield f"{label:>{width}} {bar}{' ' * bool(bar)}{count}"
