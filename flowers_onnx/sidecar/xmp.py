"""Where the keywords are in an XMP packet: positions in its bytes, found by a real parser."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from flowers_onnx.errors import FlowersError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#: Of the wrapper around the RDF, which may be missing.
META = "adobe:ns:meta/"
#: Our own: what we answered and which keywords we added. A slash ends it, as Exiv2 wants.
OURS = "urn:flowers-onnx:sidecar/1.0/"

#: The encodings of XMP, and those of one byte a character that some write all the same. In all of
#: them text in the middle is encoded as it is alone.
_ENCODINGS = re.compile(r"utf-8|utf-16-[bl]e|utf-32-[bl]e|ascii|iso8859-\d+|cp125\d|koi8-[ru]")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Which of the first four bytes are 0, where there is no mark.
_ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
_DECLARED = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][\w.-]*)[\"']")
_TAG = re.compile(rb"<([^\s/>]+)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(\"[^\"]*\"|'[^']*')")

#: Elements that are looked at, and attributes of each: a thousand keywords are many.
_MOST = 10_000

_CONTAINERS = frozenset(f"{RDF} {name}" for name in ("Bag", "Seq", "Alt"))
_DESCRIPTION, _ROOT = f"{RDF} Description", f"{RDF} RDF"
_WRAPPERS = frozenset(f"{META} {name}" for name in ("xmpmeta", "xapmeta"))


class XmpError(FlowersError):
    """A file isn't one that keywords can be put into; the text says why."""


class Attribute(NamedTuple):
    """One of a start tag, with the white space before it: ``data[start:end]``."""

    name: str
    value: str
    raw_value: bytes
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Element:
    """An element as ``data[start:end]``, its content as ``data[inner:close]``.

    ``name`` is a namespace and a local name with a space between them, ``raw`` as it is written.
    An empty one has no end tag, and its content is nothing behind it.
    """

    name: str
    raw: bytes
    start: int
    inner: int
    attributes: list[Attribute]
    parent: Element | None = field(repr=False)
    close: int = -1
    end: int = -1
    text: str = ""
    children: list[Element] = field(default_factory=list)

    @property
    def is_empty_tag(self) -> bool:
        """Whether it is written as ``<a/>``."""
        return self.inner == self.close == self.end

    @property
    def prefix(self) -> str:
        """That of its name, with the colon; nothing where it has none."""
        before, colon, _ = self.raw.decode().rpartition(":")
        return before + colon

    @property
    def items(self) -> list[Element]:
        """Of a property: what is in its list. Raises ``XmpError`` where it is none."""
        if any(name.startswith(f"{RDF} ") for name, *_ in self.attributes):
            raise not_a_list(self.raw.decode())
        if self.text.strip() or len(self.children) > 1:
            raise not_a_list(self.raw.decode())
        if self.children and self.children[0].name not in _CONTAINERS:
            raise not_a_list(self.raw.decode())
        return self.children[0].children if self.children else []


@dataclass(slots=True)
class Packet:
    """An XMP file: ``data`` is all of it in UTF-8, without its mark; positions are in that."""

    data: bytes
    mark: bytes
    encoding: str
    rdf: Element

    def encoded(self, data: bytes) -> bytes:
        """``data``, changed, in the encoding of the file."""
        return self.mark + data.decode().encode(self.encoding, "xmlcharrefreplace")

    def properties(self, name: str) -> Iterator[Element]:
        """Those of a name; raises ``XmpError`` for one that is no element."""
        for description in self.rdf.children:
            if any(attribute.name == name for attribute in description.attributes):
                raise not_a_list(name.rpartition(" ")[2])
            yield from (one for one in description.children if one.name == name)


def parse(content: bytes, lists: frozenset[str]) -> Packet:
    """Look for the properties ``lists``, and for all of ours; raises ``XmpError``."""
    mark, encoding = _encoding_of(content)
    try:
        data = content[len(mark) :].decode(encoding).encode()
    except UnicodeError as error:
        raise XmpError(f"it is not {encoding.upper()}") from error
    if b"\0" in data:  # Expat would take it for UTF-16
        raise XmpError("it is not well-formed XML")
    packet = Packet(data, mark, encoding, _Reader(data, lists).read())
    if packet.encoded(data) != content:  # no encoding is known to do that
        raise XmpError(f"its {encoding.upper()} is ambiguous")
    return packet


def not_a_list(name: str) -> XmpError:
    """What is wrong with a property that has to be a list of texts."""
    return XmpError(f"its {name} is not a list of keywords")


def _encoding_of(content: bytes) -> tuple[bytes, str]:
    """The byte order mark, if there is one, and the encoding behind it."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return mark, encoding
    if wide := _ZEROS.get(tuple(not byte for byte in content[:4])):
        return b"", wide
    declared = _DECLARED.match(content)
    name = declared[1].decode() if declared else "utf-8"
    try:
        encoding = codecs.lookup(name).name
    except LookupError:
        encoding = ""
    if not _ENCODINGS.fullmatch(encoding) or encoding.startswith(("utf-16", "utf-32")):
        raise XmpError(f"its encoding is {name}")
    return b"", encoding


class _Reader:
    """What of the tree is needed, and no more of it: others' part may be large."""

    def __init__(self, data: bytes, lists: frozenset[str]) -> None:
        from xml.parsers import expat

        self._data, self._lists = data, lists
        self._stack: list[Element] = []
        self._texts: list[list[str]] = []
        self._found = 0
        self._passing = 0  # how deep we are in what is passed over
        self._above = 0  # how many elements are around the RDF
        self._rdf: Element | None = None
        self._error = expat.ExpatError
        # What the file says of its encoding was true before.
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def read(self) -> Element:
        try:
            self._parser.Parse(self._data, True)  # noqa: FBT003  it takes no keywords
        except self._error as error:
            raise XmpError("it is not well-formed XML") from error
        if self._rdf is None:
            raise XmpError("it has no rdf:RDF")
        return self._rdf

    def _refuse(self, *_: object) -> None:
        raise XmpError("it has a document type")  # entities may grow without end

    def _start(self, name: str, attributes: list[str]) -> None:
        if self._passing or not self._is_wanted(name):
            self._passing += 1
            return
        self._found += 1
        if max(self._found, len(attributes)) > _MOST:
            raise XmpError("it has too many keywords")
        start = self._parser.CurrentByteIndex
        tag = _TAG.match(self._data, start)
        if tag is None:
            raise XmpError("it is not well-formed XML")
        parent = self._stack[-1] if self._stack else None
        found = Element(name, tag[1], start, tag.end(), _attributes(tag, attributes), parent)
        if parent:
            parent.children.append(found)
        if self._rdf is None and name == _ROOT:
            self._rdf, self._above = found, len(self._stack)
        self._stack.append(found)
        self._texts.append([])

    def _is_wanted(self, name: str) -> bool:
        if self._rdf is None:
            return name == _ROOT or (name in _WRAPPERS and not self._stack)
        match len(self._stack) - self._above:
            case 1:
                return name == _DESCRIPTION
            case 2:
                return name in self._lists or name.startswith(f"{OURS} ")
            case 3 | 4:  # a list, and what is in it
                return True
        return False

    def _end(self, _name: str) -> None:
        if self._passing:
            self._passing -= 1
            return
        ended = self._stack.pop()
        ended.text = "".join(self._texts.pop())
        if self._data[ended.inner - 2 : ended.inner] == b"/>":
            ended.close = ended.end = ended.inner
        else:
            ended.close = self._parser.CurrentByteIndex
            ended.end = self._data.index(b">", ended.close) + 1

    def _text(self, text: str) -> None:
        if self._texts and not self._passing:
            self._texts[-1].append(text)


def _attributes(tag: re.Match[bytes], named: list[str]) -> list[Attribute]:
    """Those that the parser has ``named``, each with its value: none that declares a namespace."""
    shift = tag.start()
    found = [
        one
        for one in _ATTRIBUTE.finditer(tag[0], len(tag[1]) + 1)
        if one[1] != b"xmlns" and not one[1].startswith(b"xmlns:")
    ]
    return [
        Attribute(name, value, one[2], one.start() + shift, one.end() + shift)
        for name, value, one in zip(named[::2], named[1::2], found, strict=True)
    ]
