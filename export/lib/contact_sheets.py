"""Photos side by side with a line of text under each, for people to judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

SIDE, TEXT = 180, 16
ROWS = 8

Cell = tuple[Path, str]


def save(rows: Iterable[Sequence[Cell]], folder: Path, name: str) -> list[Path]:
    """Sheets ``NAME-1.jpg``, ``NAME-2.jpg``, ... of ``ROWS`` rows each; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*.jpg"):
        old.unlink()
    all_rows = list(rows)
    paths = []
    for start in range(0, len(all_rows), ROWS):
        part = all_rows[start : start + ROWS]
        width = max(map(len, part)) * SIDE
        sheet = Image.new("RGB", (width, len(part) * (SIDE + TEXT)), "white")
        draw = ImageDraw.Draw(sheet)
        for y, row in enumerate(part):
            for x, (path, text) in enumerate(row):
                with Image.open(path) as opened:
                    photo = ImageOps.pad(opened.convert("RGB"), (SIDE - 4, SIDE - 4), color="white")
                sheet.paste(photo, (x * SIDE + 2, y * (SIDE + TEXT)))
                draw.text((x * SIDE + 2, y * (SIDE + TEXT) + SIDE - 2), text[:30], "black")
        paths.append(folder / f"{name}-{start // ROWS + 1}.jpg")
        sheet.save(paths[-1], quality=85)
    return paths
