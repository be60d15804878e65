"""The curves of a training run, drawn so that they need no explanation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TRAINING, _VALIDATION = "#d55e00", "#0072b2"
_NOTE = (
    "Training photos are cropped, turned, coloured, erased and mixed at random,\n"
    "and their labels smoothed: harder than the plain photos of the validation."
)
#: Part of the scale; ends that are nearer would have their names upon each other.
_NEAR = 0.15


def plot_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw ``history``, a row an epoch as Keras names its figures, into a PNG."""
    figure_of(history).savefig(path, dpi=120)


def figure_of(history: Sequence[dict[str, Any]]) -> Any:
    """A matplotlib figure: loss, accuracy and, if there was a teacher, likeness to it."""
    from matplotlib.figure import Figure

    taught = "embedding_loss" in history[-1]
    prefix = "label_" if taught else ""
    figure = Figure(figsize=(12.5 if taught else 9, 4), layout="constrained")
    panels = figure.subplots(1, 3 if taught else 2)
    _draw(
        panels[0],
        "How far the answers are from the labels",
        "cross-entropy loss, nats (less is better)",
        history,
        {"training": f"{prefix}loss", "validation": f"val_{prefix}loss"},
    )
    _draw(
        panels[1],
        "How often the best answer is right",
        "accuracy, % (more is better)",
        history,
        {"training": f"{prefix}accuracy", "validation": f"val_{prefix}accuracy"},
        factor=100,
    )
    if taught:  # the loss is the negative similarity, and validation has no teacher
        _draw(
            panels[2],
            "Likeness of features to the teacher's",
            "cosine similarity (1: the same)",
            history,
            {"training": "embedding_loss"},
            factor=-1,
        )
    figure.supxlabel(_NOTE, fontsize=9, color="#555555")
    return figure


def _draw(
    axes: Any,
    title: str,
    unit: str,
    history: Sequence[dict[str, Any]],
    lines: dict[str, str],
    *,
    factor: float = 1,
) -> None:
    """One panel: each line has its name and its last value at its end."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    all_values = [factor * row[key] for row in history for key in lines.values()]
    ends = [factor * history[-1][key] for key in lines.values()]
    close = max(ends) - min(ends) < _NEAR * (max(all_values) - min(all_values))
    upper = ends.index(max(ends))
    for place, (name, key) in enumerate(lines.items()):
        where = ("bottom" if place == upper else "top") if close and len(ends) > 1 else "center"
        colour = _TRAINING if name == "training" else _VALIDATION
        values = [factor * row[key] for row in history]
        axes.plot(epochs, values, color=colour, marker="o", markersize=3)
        last = f"{values[-1]:.1f} %" if factor == 100 else f"{values[-1]:.2f}"
        axes.annotate(
            f"{name}\n{last}",
            (epochs[-1], values[-1]),
            (8, {"bottom": 1, "center": 0, "top": -1}[where]),
            textcoords="offset points",
            va=where,
            color=colour,
            annotation_clip=False,
        )
    axes.set(xlabel="epoch", ylabel=unit)
    axes.set_title(title, loc="left", fontsize=10.5)
    axes.margins(y=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
