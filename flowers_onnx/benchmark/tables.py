"""Tables and histograms in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from flowers_onnx.benchmark.samples import fences

_BINS, _BAR = 8, 40
#: Columns of a terminal.
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Table:
    """Labels, which go to the left, and figures, which go to the right, under their heads."""

    label_heads: tuple[str, ...]
    figure_heads: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], tuple[str, ...]]]

    def relabelled(self, names: Mapping[str, Mapping[str, str]]) -> Table:
        """The labels below some heads in other words; a head with no words loses its column."""
        kept = [index for index, head in enumerate(self.label_heads) if names.get(head) != {}]

        def label(row: tuple[str, ...], index: int) -> str:
            return names.get(self.label_heads[index], {}).get(row[index], row[index])

        return Table(
            tuple(self.label_heads[index] for index in kept),
            self.figure_heads,
            [(tuple(label(row, index) for index in kept), figures) for row, figures in self.rows],
        )

    def lines(self) -> list[tuple[str, ...]]:
        """The heads, then the rows."""
        heads = (*self.label_heads, *self.figure_heads)
        return [heads, *((*labels, *figures) for labels, figures in self.rows)]


def aligned(table: Table) -> str:
    """Columns side by side, for a terminal; what is too wide goes on below, with its labels."""
    lines = table.lines()
    widths = [2 + max(map(len, column)) for column in zip(*lines, strict=True)]
    labels = len(table.label_heads)
    room = _WIDTH + 2 - sum(widths[:labels])
    # In as few blocks as possible, and these of about the same width.
    share = sum(widths[labels:]) / max(-(-sum(widths[labels:]) // max(room, 1)), 1)
    blocks: list[list[int]] = [[]]
    used = 0
    for column in range(labels, len(widths)):
        if blocks[-1] and (used + widths[column] > room or used >= share):
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += widths[column]
    return "\n\n".join(_block(lines, widths, labels, figures) for figures in blocks)


def _block(lines: list[tuple[str, ...]], widths: list[int], labels: int, figures: list[int]) -> str:
    return "\n".join(
        "".join(
            [line[index].ljust(widths[index]) for index in range(labels)]
            + [line[index].rjust(widths[index] - 2) + "  " for index in figures]
        ).rstrip()
        for line in lines
    )


def wrapped(text: str) -> str:
    """A sentence on as many lines of a terminal as it takes."""
    return fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


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
