"""What the scripts' command lines share."""

from __future__ import annotations


def words(text: str | tuple[object, ...]) -> list[str]:
    """The items of a list with commas, which Fire may have parted already."""
    items = text.split(",") if isinstance(text, str) else text
    return [str(item) for item in items if item]
