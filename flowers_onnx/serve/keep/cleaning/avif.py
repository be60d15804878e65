"""AVIF: the picture's own items, its transparency and its tiles, with their properties.

All else becomes zeros where it was: EXIF, XMP, thumbnails, gain maps, unknown items, unknown boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL.AvifImagePlugin import AvifImageFile

from flowers_onnx.serve.keep.cleaning import CannotCleanError
from flowers_onnx.serve.keep.cleaning.orientation import cleaned_in_place
from flowers_onnx.serve.keep.cleaning.ranges import Ranges

#: Without anything but the picture's form; the others that are known hold more than that.
_WHOLE_BOXES = {b"ftyp", b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"iref"}
_HOLDERS = {b"meta", b"mdat", b"idat"}
#: From whole to part, and from transparency to the picture.
_TO_PARTS, _TO_PICTURE = b"dimg", b"auxl"
_IN_FILE, _IN_IDAT = 0, 1


class _Box(NamedTuple):
    """``start`` is that of the content, ``head`` that of the box."""

    name: bytes
    head: int
    start: int
    end: int


class _Item(NamedTuple):
    """``type_at`` is where its type stands; ``extents`` are places in the file."""

    type_at: int
    extents: list[tuple[int, int]]


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    return cleaned_in_place(data, _blank, AvifImageFile)


def _blank(data: bytes, *, keep_xmp: bool) -> bytes:  # noqa: ARG001  XMP never turns an AVIF
    ranges = Ranges(data)
    boxes = list(_boxes(data, 0, len(data)))
    metas = [box for box in boxes if box.name == b"meta"]
    if len(metas) != 1 or any(box.name == b"moov" for box in boxes):
        raise CannotCleanError("a sequence, or no picture")
    inner = {box.name: box for box in _boxes(data, metas[0].start + 4, metas[0].end)}
    if not inner.keys() >= {b"pitm", b"iloc", b"iinf"}:
        raise CannotCleanError("no picture")
    ranges.keep(metas[0].start, metas[0].start + 4)
    for box in (*boxes, *_boxes(data, metas[0].start + 4, metas[0].end)):
        ranges.keep(box.head, box.end if box.name in _WHOLE_BOXES else box.start)
        if box.name not in _WHOLE_BOXES | _HOLDERS:
            ranges.write(box.head + 4, b"free")
    items = _items(data, inner)
    wanted = _wanted(data, inner)
    for number, item in items.items():
        if number in wanted:
            for start, end in item.extents:
                ranges.keep(start, end)
        else:
            ranges.write(item.type_at, b"free")
    ranges.blank(0, boxes[-1].end)
    return ranges.joined()


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """The boxes between two places; what is no box any more ends them."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        elif size == 0:  # up to the end of the file
            size = end - start
        if size < head or start + size > end:
            return
        yield _Box(name, start, start + head, start + size)
        start += size


def _items(data: bytes, meta: dict[bytes, _Box]) -> dict[int, _Item]:
    """All items by number: of which type they are, and where."""
    places = dict(_places(data, meta))
    box = meta[b"iinf"]
    items = dict[int, _Item]()
    for info in _boxes(data, box.start + (6 if data[box.start] == 0 else 8), box.end):
        version = data[info.start]
        if info.name != b"infe" or version not in (2, 3):
            raise CannotCleanError("an item of unknown form")
        code, width = ("H", 2) if version == 2 else ("I", 4)
        (number,) = struct.unpack_from(">" + code, data, info.start + 4)
        type_at = info.start + 4 + width + 2
        items[number] = _Item(type_at, places.get(number, []))
    if places.keys() - items.keys():
        raise CannotCleanError("an item of no type")
    return items


def _places(data: bytes, meta: dict[bytes, _Box]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Where each item's content is."""
    box = meta[b"iloc"]
    version, at = data[box.start], box.start + 4
    sizes, more = data[at], data[at + 1]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version else 0
    at += 2

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item, method = number(wide), number(2) & 15 if version else _IN_FILE
        number(2)
        base = number(base_size)
        if method == _IN_IDAT and b"idat" in meta:
            base += meta[b"idat"].start
        elif method != _IN_FILE:
            raise CannotCleanError("an item made of another")
        extents = []
        for _ in range(number(2)):
            number(index_size)
            start = base + number(offset_size)
            length = number(length_size)
            if not length:
                raise CannotCleanError("an item whose end isn't told")
            extents.append((start, start + length))
        if at > box.end:
            raise CannotCleanError("a list of places that ends too early")
        yield item, extents


def _wanted(data: bytes, meta: dict[bytes, _Box]) -> set[int]:
    """The primary item, the tiles it is made of, its transparency."""
    primary = meta[b"pitm"]
    code = "H" if data[primary.start] == 0 else "I"
    wanted = set(struct.unpack_from(">" + code, data, primary.start + 4))
    references = list(_references(data, meta[b"iref"])) if b"iref" in meta else []
    found = wanted
    while found:
        found = {
            other
            for kind, item, targets in references
            for other in (targets if kind == _TO_PARTS else [item])
            if (kind == _TO_PARTS and item in wanted)
            or (kind == _TO_PICTURE and wanted.intersection(targets))
        } - wanted
        wanted |= found
    return wanted


def _references(data: bytes, box: _Box) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    code, width = ("H", 2) if data[box.start] == 0 else ("I", 4)
    for reference in _boxes(data, box.start + 4, box.end):
        item, count = struct.unpack_from(f">{code}H", data, reference.start)
        targets = struct.unpack_from(f">{count}{code}", data, reference.start + width + 2)
        yield reference.name, item, targets
