"""Bar charts that need no script: a line a bar, which leads to what it counts."""

from __future__ import annotations

from collections.abc import Sequence

from flowers_onnx.html_report.texts import Words, safe

#: Bars that are seen before the rest is unfolded.
_FIRST = 20


def bars(words: Words, counts: Sequence[tuple[str, int, bool]], prefix: str) -> str:
    """A chart of names and their counts, the largest first.

    Bar ``i`` links to ``#{prefix}{i}`` if the third value says that this is on the page.
    """
    lines = []
    for position, (name, count, linked) in enumerate(counts):
        bar = (
            f'<span class="what">{safe(name)}</span><svg aria-hidden="true">'
            f'<rect width="{100 * count / counts[0][1]:.2f}%" height="100%" rx="2"/></svg>'
            f'<span class="count">{words.number(count)}</span>'
        )
        if linked:
            lines.append(f'<li><a href="#{prefix}{position}">{bar}</a></li>\n')
        else:
            lines.append(f'<li><span class="bar">{bar}</span></li>\n')
    if not lines:
        return ""
    chart = _list(lines[:_FIRST], prefix)
    if rest := lines[_FIRST:]:
        label = words.text("more", count=len(rest))
        chart += f"<details><summary>{label}</summary>{_list(rest, prefix)}</details>"
    return chart


def _list(lines: list[str], prefix: str) -> str:
    return f'<ol class="bars {prefix}">\n{"".join(lines)}</ol>\n'
