"""Small drawings inside a page: bars, and a dot for each photo."""

from __future__ import annotations

#: Photos that are drawn one by one; more make a picture that says nothing.
_MOST_DOTS, _COLUMNS = 120, 20


def bar(share: float) -> str:
    """As long as a share, 0 to 1."""
    rect = f'<rect width="{100 * share:.2f}%" height="100%"/>'
    return f'<svg class="bar" aria-hidden="true">{rect}</svg>'


def dots(right: int, taken: int, others: int) -> str:
    """A dot a photo."""
    kinds = ["right"] * right + ["taken"] * taken + ["else"] * others
    if not 0 < len(kinds) <= _MOST_DOTS:
        return ""
    width, height = 12 * _COLUMNS, 12 * -(-len(kinds) // _COLUMNS)
    dots = "".join(
        f'<g transform="translate({12 * (n % _COLUMNS)} {12 * (n // _COLUMNS)})">{dot(kind)}</g>'
        for n, kind in enumerate(kinds)
    )
    return (
        f'<svg class="dots" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-hidden="true">{dots}</svg>'
    )


def dot(kind: str) -> str:
    """A disc, a square, a ring: shapes that need no colour to be told apart."""
    if kind == "taken":
        return '<rect class="taken" x="1" y="1" width="8" height="8"/>'
    return f'<circle class="{kind}" cx="5" cy="5" r="3.5"/>'
