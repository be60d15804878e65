"""The curves of a training run: every axis has its unit, every line its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from lib.curves import figure_of, plot_curves

pytestmark = pytest.mark.export

HISTORY = json.loads((ROOT / "model" / "history.json").read_text())["history"]
PLAIN = [
    {"epoch": 1, "loss": 2.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.6},
    {"epoch": 2, "loss": 1.0, "accuracy": 0.7, "val_loss": 0.99, "val_accuracy": 0.7},
]


@pytest.mark.parametrize(("history", "panels"), [(HISTORY, 3), (PLAIN, 2), (PLAIN[:1], 2)])
def test_every_line_is_named_and_every_axis_has_its_unit(
    history: list[dict[str, Any]], panels: int
) -> None:
    figure = figure_of(history)
    figure.draw_without_rendering()
    assert len(figure.axes) == panels
    for axes in figure.axes:
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()
        assert axes.get_legend() is None
        names = [text.get_text().split()[0] for text in axes.texts]
        assert names in (["training", "validation"], ["training"])
        assert len(names) == len(axes.lines)
        spots = [text.get_window_extent() for text in axes.texts]
        assert len(spots) == 1 or not spots[0].overlaps(spots[1])
        assert all(figure.bbox.contains(spot.x1, spot.y1) for spot in spots)
    assert len({axes.get_title(loc="left") for axes in figure.axes}) == panels


def test_the_picture_is_written(tmp_path: Path) -> None:
    plot_curves(PLAIN, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
