"""From a name that people type to the class that it means."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowers_onnx.errors import UsageError

if TYPE_CHECKING:
    from flowers_onnx.metadata import Label

_SHOWN = 3


def find_class(labels: Sequence[Label], name: str) -> int:
    """The position in ``labels`` of the class of this id, or of this name in any language.

    Upper and lower case, accents, hyphens and spaces make no difference unless they have to.
    Raises ``UsageError`` for a name that no class has, or several have.
    """
    for form in (str, _plain):
        wanted = form(name)
        found = [
            position
            for position, label in enumerate(labels)
            if wanted in {form(known) for known in _names(label)}
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{labels[i].class_id} ({labels[i].label})" for i in found)
            raise UsageError(f"{name!r} means several classes; give an id: {ids}")
    spelled = {_plain(known): known for label in labels for known in _names(label)}
    wanted = f" {_plain(name)} "
    close = [one for one in spelled if wanted in f" {one} "][:_SHOWN]
    close = close or difflib.get_close_matches(_plain(name), spelled, _SHOWN)
    hint = f"did you mean {', '.join(spelled[one] for one in close)}? " if close else ""
    raise UsageError(f"the model has no class {name!r}: {hint}flowers labels lists all")


def _names(label: Label) -> list[str]:
    latin = label.scientific_name or ""
    names = (
        str(label.class_id),
        label.label,
        label.spanish_name,
        latin,
        latin.removesuffix(" spp."),
    )
    return [known for known in names if known]


def _plain(name: str) -> str:
    """Letters and digits alone, without accents."""
    parts = unicodedata.normalize("NFKD", name).casefold()
    return " ".join(
        "".join(c if c.isalnum() else " " for c in parts if not unicodedata.combining(c)).split()
    )
