r"""Changes to the bytes of an XMP file, by positions: what is between them stays as it is.

To leave an empty list as it was found, ``<rdf:Bag/>``, we mark what we opened by white space in the
end tag, which means nothing to anybody else: with a space and a tab, ``</rdf:Bag \t>`` was ``/>``,
and of ``</rdf:Bag\t >`` all is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowers_onnx.sidecar.xmp import Element

#: Behind the name in an end tag.
EXPANDED, INSERTED = b" \t>", b"\t >"


class Change(NamedTuple):
    """``data[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: bytes = b""


def cut(data: bytes, element: Element) -> Change:
    """An element goes, with the white space before it."""
    return Change(element.start - len(_space_before(data, element)), element.end)


def _space_before(data: bytes, element: Element) -> bytes:
    start = element.start
    while data[start - 1 : start].isspace():
        start -= 1
    return data[start : element.start]


def collapsed(element: Element) -> Change:
    """An element becomes an empty tag again."""
    return Change(element.inner - 1, element.end, b"/>")


def is_marked(data: bytes, element: Element, mark: bytes) -> bool:
    """Whether its end tag has one of our marks."""
    return data[element.close : element.end] == b"</" + element.raw + mark


def left(data: bytes, element: Element, changes: list[Change]) -> bytes:
    """What a change of its content leaves of it."""
    return changed(data, changes, element.inner, element.close)


def changed(
    data: bytes, changes: Iterable[Change], start: int = 0, end: int | None = None
) -> bytes:
    """``data[start:end]`` with ``changes`` in it, which come in order."""
    parts = []
    for change in changes:
        parts += [data[start : change.start], change.new]
        start = change.end
    return b"".join([*parts, data[start:end]])


def filled(element: Element, content: bytes) -> Change:
    """``content`` into an element that has none."""
    if not element.is_empty_tag:
        return Change(element.inner, element.inner, content)
    end = b">" + content + b"</" + element.raw + EXPANDED
    return Change(element.inner - 2, element.inner, end)


def lead(data: bytes, element: Element) -> bytes:
    """The line break before an element, and its indentation; nothing if it begins no line."""
    _, line_break, indentation = (space := _space_before(data, element)).rpartition(b"\n")
    if line_break and space[: -len(indentation) - 1].endswith(b"\r"):
        line_break = b"\r\n"
    return line_break + indentation if line_break else b""
