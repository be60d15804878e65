"""Keywords into an XMP file and out of it again; all other bytes stay what they are.

What we added is listed in the file itself, under a namespace of our own: so it can be taken out
when the answer changes, and what others wrote is never taken for ours. What somebody takes out of
the file stays out, as long as the answer is the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from flowers_onnx.sidecar import edits
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


def merge(content: bytes, keywords: Keywords) -> bytes:
    """The file ``content`` with ``keywords`` in the place of those of an earlier answer.

    No content is no file, in both directions. Raises ``XmpError`` for what is no XMP, or has
    keywords in a form that isn't theirs.
    """
    wanted = keywords.by_list()
    if not content:
        return _with(_SKELETON, wanted) if any(wanted.values()) else b""
    packet = parse(content, frozenset(_LISTS))
    answer, is_rewritten = _answer_in(packet), _is_rewritten(packet)
    if answer == (_answer_of(wanted) if any(wanted.values()) else None):
        return content
    content = _without_ours(packet, is_rewritten=is_rewritten)
    if any(wanted.values()):
        return _with(content, wanted)
    return b"" if content == _SKELETON or (is_rewritten and _is_empty(content)) else content


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


def _is_rewritten(packet: Packet) -> bool:
    """Whether another program has put our block into a form of its own, as exiftool does.

    What is empty without us is of no use to anybody then, and isn't as it was found either.
    """
    return any(
        child.name == _ANSWER
        for description in packet.rdf.children
        for child in description.children
    )


def _is_empty(content: bytes) -> bool:
    packet = parse(content, frozenset(_LISTS))
    return not packet.data[packet.rdf.inner : packet.rdf.close].strip()


def _words(packet: Packet, name: str) -> Counter[str]:
    """The keywords of a list; it may be in several pieces."""
    return Counter(
        item.text.strip()
        for one in packet.properties(name)
        for item in one.items
        if _ITEM.fullmatch(item.name)
    )


# --- out ------------------------------------------------------------------------------------------


def _without_ours(packet: Packet, *, is_rewritten: bool) -> bytes:
    """The file without what we added."""
    ours = {}
    for name, (_, listed) in _LISTS.items():
        ours[name] = _words(packet, listed)
        if ours[name].total() > _MOST_OURS:
            raise not_a_list("list of what we added")
    changes = [
        change
        for description in reversed(packet.rdf.children)
        for change in _out_of_description(packet.data, description, ours, is_rewritten=is_rewritten)
    ]
    changes.sort()
    rdf = packet.rdf
    if (
        changes
        and edits.is_marked(packet.data, rdf, edits.EXPANDED)
        and not edits.left(packet.data, rdf, changes)
    ):
        changes = [edits.collapsed(rdf)]
    return packet.encoded(edits.changed(packet.data, changes))


def _out_of_description(
    data: bytes, description: Element, ours: dict[str, Counter[str]], *, is_rewritten: bool
) -> list[edits.Change]:
    attributes = [one for one in description.attributes if one.name.startswith(f"{OURS} ")]
    own = [one for one in description.children if one.name.startswith(f"{OURS} ")]
    is_ours = bool(attributes or own)
    changes = [edits.cut(data, one) for one in own]
    for one in reversed(description.children):
        if one.name in _LISTS:
            changes += _out_of_list(data, one, ours[one.name], is_ours=is_ours or is_rewritten)
    changes.sort()
    is_ours = is_ours or (is_rewritten and bool(changes))
    others = {one.name for one in description.attributes} - {one.name for one in attributes}
    if (
        is_ours
        and not others - {_ABOUT, "about"}
        and not edits.left(data, description, changes).strip()
    ):
        return [edits.cut(data, description)]
    return [edits.Change(one.start, one.end) for one in attributes] + changes


def _out_of_list(
    data: bytes, listed: Element, ours: Counter[str], *, is_ours: bool
) -> list[edits.Change]:
    """Of what is there twice the later one is ours; ``ours`` loses what is found."""
    changes = []
    for item in reversed(listed.items):
        word = item.text.strip()
        if ours[word] and _ITEM.fullmatch(item.name):
            ours[word] -= 1
            changes.append(edits.cut(data, item))
    if not changes:
        return []
    changes.sort()
    container = listed.children[0]
    left = edits.left(data, container, changes)
    if left.strip():
        return changes
    gone = [edits.Change(container.start, container.end)]
    around = edits.left(data, listed, gone)
    if edits.is_marked(data, container, edits.INSERTED) and not left:
        is_empty = edits.is_marked(data, listed, edits.EXPANDED) and not around
        return [edits.collapsed(listed)] if is_empty else gone
    if edits.is_marked(data, container, edits.EXPANDED) and not left:
        return [edits.collapsed(container)]
    return [edits.cut(data, listed)] if is_ours and not around.strip() else changes


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
    changed = packet.encoded(edits.changed(packet.data, sorted(changes)))
    # A file may bind our prefixes to something else at any place: then it isn't what we meant.
    again = parse(changed, frozenset(_LISTS))
    for name, words in added.items():
        listing = _words(again, _LISTS[name][1])
        if _words(again, name) != before[name] + Counter(words) or listing != Counter(words):
            raise XmpError("its prefixes are none that we can use")
    return changed


def _into_list(data: bytes, listed: Element, words: list[str]) -> edits.Change:
    if listed.items:
        last = listed.items[-1]
        lead = edits.lead(data, last)
        items = b"".join(lead + one for one in _items(listed.children[0].prefix, words))
        return edits.Change(last.end, last.end, items)
    if listed.children:
        container = listed.children[0]
        return edits.filled(container, b"".join(_items(container.prefix, words)))
    # Of the list there is nothing: its parent's name has the prefix of RDF.
    prefix = listed.parent.prefix if listed.parent else ""
    items = b"".join(_items(prefix, words))
    name = f"{prefix}Bag".encode()
    return edits.filled(listed, b"<" + name + b">" + items + b"</" + name + edits.INSERTED)


def _items(prefix: str, words: Iterable[str]) -> list[bytes]:
    return [f"<{prefix}li>{escape(word, quote=False)}</{prefix}li>".encode() for word in words]


def _block(packet: Packet, answer: str, lists: dict[str, list[str]]) -> edits.Change:
    """A description of ours behind those that are there, in their style."""
    data, rdf = packet.data, packet.rdf
    if rdf.children:
        lead = edits.lead(data, rdf.children[-1]).decode()
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
        return edits.Change(rdf.children[-1].end, rdf.children[-1].end, block)
    return edits.filled(rdf, block)
