"""What ``flowers explain`` is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from flowers_onnx.errors import UsageError
from flowers_onnx.results import Query

#: Pictures by the end of their names, with Pillow's formats.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
Form = Literal["picture", "folder", "page", "lines"]


@dataclass(frozen=True, slots=True)
class Options:
    """Which photos are explained, by which class, into what.

    ``label`` is None for each photo's best one.
    """

    paths: tuple[str, ...]
    out: str
    label: str | None
    query: Query
    model: str | None
    threads: int | None
    max_pixels: int

    @property
    def form(self) -> Form:
        """What ``out`` is to be."""
        return form_of(self.out)


def form_of(out: str) -> Form:
    """What ``--out`` asks for; raises ``UsageError`` for an ending that means nothing here."""
    suffix = os.path.splitext(out)[1].lower()
    if os.path.isdir(out) or out.endswith(("/", os.sep)) or not suffix:
        return "folder"
    if suffix in FORMATS:
        return "picture"
    if suffix in {".html", ".htm"}:
        return "page"
    if suffix == ".jsonl":
        return "lines"
    raise UsageError(
        f"--out {out}: a picture ends in {', '.join(FORMATS)}, a page in .html, numbers in "
        ".jsonl; a folder's name has no ending, or a / behind it"
    )
