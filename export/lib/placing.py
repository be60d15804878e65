"""A model's files in the place of an older one's, under a version that is higher."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import onnx

from flowers_onnx.atomic import replacing
from flowers_onnx.metadata import read_info

#: What is made beside `flowers.onnx`, by the names it has on both sides.
BESIDE = (
    "flowers-int8.onnx",
    "flowers-fp32.onnx",
    "flowers.keras",
    "labels.json",
    "history.json",
    "curves.png",
)
CARD = "MODEL_CARD.md"
BEGIN, END = "<!-- written by export/promote.py -->", "<!-- end of what it writes -->"
_SUFFIX = "-int8"


def next_version(old: str, new: str) -> str:
    """The version to ship: ``new`` if it is higher, else one above ``old``; without a suffix.

    Raises ``SystemExit`` for versions that aren't numbers with points.
    """
    before, after = (version.removesuffix(_SUFFIX) for version in (old, new))
    if not old:
        return after
    if not all(re.fullmatch(r"\d+(\.\d+)*", version) for version in (before, after)):
        raise SystemExit(f"promote: what follows version {old}? Give --version")
    numbers = [int(part) for part in before.split(".")]
    if [int(part) for part in after.split(".")] > numbers:
        return after
    return ".".join(map(str, [*numbers[:-1], numbers[-1] + 1]))


def siblings(new: Path) -> list[Path]:
    """The files beside ``new`` that go with it; ``SystemExit`` for those of another model."""
    found = [path for name in BESIDE if (path := new.parent / name).exists() and path != new]
    labels = read_info(new).labels
    for path in found:
        if path.suffix == ".onnx" and read_info(path).labels != labels:
            raise SystemExit(f"promote: {path} knows other classes than {new}")
    return found


def place(new: Path, beside: Sequence[Path], target: Path, version: str, card: str) -> list[str]:
    """Put a model, what goes with it, and its card where ``target`` is; each whole or not at all.

    All are written before the first takes its place, the model last. Returns what stays there
    of the model before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    goals = {target: new, **{target.parent / path.name: path for path in beside}}
    with contextlib.ExitStack() as stack:  # the last that is entered has its place first
        for goal, source in goals.items():
            draft = stack.enter_context(replacing(str(goal)))
            if source.suffix == ".onnx":
                onnx.save(with_version(source, version), draft)
            else:
                shutil.copyfile(source, draft)
        draft = stack.enter_context(replacing(str(target.parent / CARD)))
        Path(draft).write_text(card, encoding="utf-8")
    left = (target.parent / name for name in BESIDE)
    return [str(path) for path in left if path.exists() and path not in goals]


def with_version(source: Path, version: str) -> onnx.ModelProto:
    """The model of a file, of another version; what the file adds to its version stays."""
    model = onnx.load(source)
    for entry in model.metadata_props:
        if entry.key == "model_version":
            entry.value = suffixed(version, entry.value)
    return model


def suffixed(version: str, like: str) -> str:
    """``version`` with what the version ``like`` ends with, if that says how a file was made."""
    return version + (_SUFFIX if like.endswith(_SUFFIX) else "")


def with_figures(card: str, name: str, figures: str) -> str:
    """The card with ``figures`` between its marks; at the end if it has none, or a card of them."""
    block = f"{BEGIN}\n{figures}\n{END}"
    if not card:
        return f"# Model card: {name}\n\n## Figures\n\n{block}\n"
    start, end = card.find(BEGIN), card.find(END)
    if 0 <= start < end:
        return card[:start] + block + card[end + len(END) :]
    return f"{card.rstrip()}\n\n## Against the model before\n\n{block}\n"


def figures_text(table: str, notes: Sequence[str]) -> str:
    """What goes between the marks."""
    listed = "\n".join(f"- {note}" for note in notes)
    return (
        f"Measured on {date.today().isoformat()}, as users run it:\n\n{table}\n\n{listed}".rstrip()
    )
