r"""Keywords into an XMP file and out of it again; all other bytes stay what they are.

What we added is listed in the file itself, under a namespace of our own: so it can be taken out
when the answer changes, and what others wrote is never taken for ours. What somebody takes out of
the file stays out, as long as the answer is the same.

To leave an empty list as it was found, ``<rdf:Bag/>``, we mark what we opened by white space in the
end tag, which means nothing to anybody else: with a space and a tab, ``</rdf:Bag \t>`` was ``/>``,
and of ``</rdf:Bag\t >`` all is ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from flowers_onnx.sidecar.xmp import META, OURS, RDF, Element, Packet, XmpError, not_a_list, parse

_DC, _LR = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/lightroom/1.0/"
_FLAT, _TREE = f"{_DC} subject", f"{_LR} hierarchicalSubject"
#: The lists of keywords, as they are written in a block of ours, and our list of what we added.
_LISTS = {
    _FLAT: ("dc:subject", f"{OURS} subject"),
    _TREE: ("lr:hierarchicalSubject", f"{OURS} hierarchicalSubject"),
}
_PREFIXES = {"dc": _DC, "lr": _LR, "flowers": OURS}
_ANSWER, _ABOUT = f"{OURS} answer", f"{RDF} about"
_ITEM = re.compile(re.escape(RDF) + r" (li|_\d+)")
#: More than we ever add; a file that says otherwise isn't to be believed.
_MOST_OURS = 16

_EXPANDED, _INSERTED = b" \t>", b"\t >"
#: What XML can't hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: A file that says nothing.
_SKELETON = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="{META}">
 <rdf:RDF xmlns:rdf="{RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()


@dataclass(frozen=True)
class Keywords:
    """What is to be said of a photo; nothing, if nothing is known.

    ``flat`` are names, ``tree`` paths of names with ``|`` between them.
    """

    flat: tuple[str, ...] = ()
    tree: tuple[str, ...] = ()

    def by_list(self) -> dict[str, tuple[str, ...]]:
        """The keywords for each of the lists, in a form that a file gives back as it is."""
        return {_FLAT: _plain(self.flat), _TREE: _plain(self.tree)}


class _Change(NamedTuple):
    """``data[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: bytes = b""


def merge(content: bytes, keywords: Keywords) -> bytes:
    """The file ``content`` with ``keywords`` in the place of those of an earlier answer.

    No content is no file, in both directions. Raises ``XmpError`` for what is no XMP, or has
    keywords in a form that isn't theirs.
    """
    wanted = keywords.by_list()
    if not content:
        return _with(_SKELETON, wanted) if any(wanted.values()) else b""
    packet = parse(content, frozenset(_LISTS))
    answer = _answer_in(packet)
    if answer == (_answer_of(wanted) if any(wanted.values()) else None):
        return content
    content = _without_ours(packet)
    if any(wanted.values()):
        return _with(content, wanted)
    return b"" if content == _SKELETON else content


def _plain(words: Iterable[str]) -> tuple[str, ...]:
    cleaned = (" ".join(_FORBIDDEN.sub("\ufffd", word).split()) for word in words)
    return tuple(dict.fromkeys(filter(None, cleaned)))


def _answer_of(wanted: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(word for words in wanted.values() for word in words)


def _answer_in(packet: Packet) -> str | None:
    """What we answered when we wrote into this file; None if we have not."""
    answer = None
    for description in packet.rdf.children:
        for attribute in description.attributes:
            if attribute.name == _ANSWER:
                answer = attribute.value
        for child in description.children:
            if child.name == _ANSWER:  # as other programs write it
                answer = child.text
            elif answer is None and child.name not in _LISTS:
                answer = ""
    return answer


def _words(packet: Packet, name: str) -> Counter[str]:
    """The keywords of a list; it may be in several pieces."""
    return Counter(
        item.text.strip()
        for one in packet.properties(name)
        for item in one.items
        if _ITEM.fullmatch(item.name)
    )


# --- out ------------------------------------------------------------------------------------------


def _without_ours(packet: Packet) -> bytes:
    """The file without what we added."""
    ours = {}
    for name, (_, listed) in _LISTS.items():
        ours[name] = _words(packet, listed)
        if ours[name].total() > _MOST_OURS:
            raise not_a_list("list of what we added")
    changes = [
        change
        for description in reversed(packet.rdf.children)
        for change in _out_of_description(packet.data, description, ours)
    ]
    changes.sort()
    rdf = packet.rdf
    if changes and _is_marked(packet.data, rdf, _EXPANDED) and not _left(packet.data, rdf, changes):
        changes = [_collapsed(rdf)]
    return packet.encoded(_changed(packet.data, changes))


def _out_of_description(
    data: bytes, description: Element, ours: dict[str, Counter[str]]
) -> list[_Change]:
    attributes = [one for one in description.attributes if one.name.startswith(f"{OURS} ")]
    own = [one for one in description.children if one.name.startswith(f"{OURS} ")]
    is_ours = bool(attributes or own)
    changes = [_cut(data, one) for one in own]
    for one in reversed(description.children):
        if one.name in _LISTS:
            changes += _out_of_list(data, one, ours[one.name], is_ours=is_ours)
    changes.sort()
    others = {one.name for one in description.attributes} - {one.name for one in attributes}
    if is_ours and not others - {_ABOUT, "about"} and not _left(data, description, changes).strip():
        return [_cut(data, description)]
    return [_Change(one.start, one.end) for one in attributes] + changes


def _out_of_list(
    data: bytes, listed: Element, ours: Counter[str], *, is_ours: bool
) -> list[_Change]:
    """Of what is there twice the later one is ours; ``ours`` loses what is found."""
    changes = []
    for item in reversed(listed.items):
        word = item.text.strip()
        if ours[word] and _ITEM.fullmatch(item.name):
            ours[word] -= 1
            changes.append(_cut(data, item))
    if not changes:
        return []
    changes.sort()
    container = listed.children[0]
    left = _left(data, container, changes)
    if left.strip():
        return changes
    gone = [_Change(container.start, container.end)]
    around = _left(data, listed, gone)
    if _is_marked(data, container, _INSERTED) and not left:
        is_empty = _is_marked(data, listed, _EXPANDED) and not around
        return [_collapsed(listed)] if is_empty else gone
    if _is_marked(data, container, _EXPANDED) and not left:
        return [_collapsed(container)]
    return [_cut(data, listed)] if is_ours and not around.strip() else changes


def _cut(data: bytes, element: Element) -> _Change:
    """An element goes, with the white space before it."""
    return _Change(element.start - len(_space_before(data, element)), element.end)


def _space_before(data: bytes, element: Element) -> bytes:
    start = element.start
    while data[start - 1 : start].isspace():
        start -= 1
    return data[start : element.start]


def _collapsed(element: Element) -> _Change:
    """An element becomes an empty tag again."""
    return _Change(element.inner - 1, element.end, b"/>")


def _is_marked(data: bytes, element: Element, mark: bytes) -> bool:
    return data[element.close : element.end] == b"</" + element.raw + mark


def _left(data: bytes, element: Element, changes: list[_Change]) -> bytes:
    """What a change of its content leaves of it."""
    return _changed(data, changes, element.inner, element.close)


def _changed(
    data: bytes, changes: Iterable[_Change], start: int = 0, end: int | None = None
) -> bytes:
    parts = []
    for change in changes:
        parts += [data[start : change.start], change.new]
        start = change.end
    return b"".join([*parts, data[start:end]])


# --- in -------------------------------------------------------------------------------------------


def _with(content: bytes, wanted: dict[str, tuple[str, ...]]) -> bytes:
    """The file with what it lacks of ``wanted``."""
    packet = parse(content, frozenset(_LISTS))
    before = {name: _words(packet, name) for name in _LISTS}
    added = {
        name: [word for word in words if word not in before[name]] for name, words in wanted.items()
    }
    if not any(added.values()):
        return content
    changes, absent = [], {}
    for name, words in added.items():
        found = list(packet.properties(name))
        if words and found:
            listed = next((one for one in found if one.items), found[0])
            changes.append(_into_list(packet.data, listed, words))
        elif words:
            absent[name] = words
    lists = {_LISTS[name][0]: words for name, words in absent.items()}
    for name, words in added.items():
        if words:
            lists["flowers:" + _LISTS[name][1].rpartition(" ")[2]] = words
    changes.append(_block(packet, _answer_of(wanted), lists))
    changed = packet.encoded(_changed(packet.data, sorted(changes)))
    # A file may bind our prefixes to something else at any place: then it isn't what we meant.
    again = parse(changed, frozenset(_LISTS))
    for name, words in added.items():
        listing = _words(again, _LISTS[name][1])
        if _words(again, name) != before[name] + Counter(words) or listing != Counter(words):
            raise XmpError("its prefixes are none that we can use")
    return changed


def _into_list(data: bytes, listed: Element, words: list[str]) -> _Change:
    if listed.items:
        last = listed.items[-1]
        lead = _lead(data, last)
        items = b"".join(lead + one for one in _items(listed.children[0].prefix, words))
        return _Change(last.end, last.end, items)
    if listed.children:
        container = listed.children[0]
        return _filled(container, b"".join(_items(container.prefix, words)))
    # Of the list there is nothing: its parent's name has the prefix of RDF.
    prefix = listed.parent.prefix if listed.parent else ""
    items = b"".join(_items(prefix, words))
    name = f"{prefix}Bag".encode()
    return _filled(listed, b"<" + name + b">" + items + b"</" + name + _INSERTED)


def _filled(element: Element, content: bytes) -> _Change:
    """``content`` into an element that has none."""
    if not element.is_empty_tag:
        return _Change(element.inner, element.inner, content)
    end = b">" + content + b"</" + element.raw + _EXPANDED
    return _Change(element.inner - 2, element.inner, end)


def _items(prefix: str, words: Iterable[str]) -> list[bytes]:
    return [f"<{prefix}li>{escape(word, quote=False)}</{prefix}li>".encode() for word in words]


def _block(packet: Packet, answer: str, lists: dict[str, list[str]]) -> _Change:
    """A description of ours behind those that are there, in their style."""
    data, rdf = packet.data, packet.rdf
    if rdf.children:
        lead = _lead(data, rdf.children[-1]).decode()
    else:
        lead = "\r\n  " if b"\r\n" in data else "\n  " if b"\n" in data else ""
    about = '""'
    for attribute in rdf.children[0].attributes if rdf.children else ():
        if attribute.name in {_ABOUT, "about"}:  # all of a file have the same one
            about = attribute.raw_value.decode()
    names = _PREFIXES if rdf.raw == b"rdf:RDF" else {"rdf": RDF, **_PREFIXES}
    used = {"rdf", "flowers", *(tag.partition(":")[0] for tag in lists)}
    attributes = [f'xmlns:{name}="{uri}"' for name, uri in names.items() if name in used]
    attributes.append(f'flowers:answer="{escape(answer)}"')

    def line(depth: int) -> str:
        return lead + " " * depth if lead else ""

    parts = [lead, f"<rdf:Description rdf:about={about}"]
    parts += [f"{line(2) or ' '}{one}" for one in attributes]
    parts.append(">")
    for tag, words in lists.items():
        parts += [line(1), f"<{tag}>", line(2), "<rdf:Bag>"]
        parts += [line(3) + item.decode() for item in _items("rdf:", words)]
        parts += [line(2), "</rdf:Bag>", line(1), f"</{tag}>"]
    parts += [line(0), "</rdf:Description>"]
    block = "".join(parts).encode()
    if rdf.children:
        return _Change(rdf.children[-1].end, rdf.children[-1].end, block)
    return _filled(rdf, block)


def _lead(data: bytes, element: Element) -> bytes:
    """The line break before an element, and its indentation; nothing if it begins no line."""
    _, line_break, indentation = (space := _space_before(data, element)).rpartition(b"\n")
    if line_break and space[: -len(indentation) - 1].endswith(b"\r"):
        line_break = b"\r\n"
    return line_break + indentation if line_break else b""
