"""The segments of a JPEG up to its first scan, and the markers behind."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.errors import DAMAGED

SOI, EOI, SOS, DHT = 0xD8, 0xD9, 0xDA, 0xC4
RESTARTS = range(0xD0, 0xD8)
#: A file has no such thing as a segment for these.
_ALONE = {0x01, *RESTARTS, SOI}
#: Start of frame, in all its variants, and the table of a hierarchical one.
FRAMES = {*range(0xC0, 0xD0), 0xDE, 0xF7} - {DHT, 0xC8, 0xCC}
#: So many at the end of a file are no data: it was never written.
ZEROS = 64
#: Readers skip what stands between segments; nobody writes much of it.
_MOST_RUBBISH = 1 << 16
_BLOCK = 1 << 20
#: Ten times as many as the largest file has of the largest ones.
_MOST_SEGMENTS = 10_000
#: Its marker, the first byte behind that, and where it ends. Tuples and plain classes here:
#: each named tuple would cost the start of every process a thousandth.
Segment = tuple[int, int, int]
#: A component's number, and how many samples of it, across and down, stand for the most of any.
Component = tuple[int, int, int]


class Frame:
    """What the picture is: its variant is that of ``marker``."""

    def __init__(
        self, marker: int, bits: int, size: tuple[int, int], components: list[Component]
    ) -> None:
        self.marker, self.bits, self.size, self.components = marker, bits, size, components

    def coefficient_bytes(self) -> int:
        """What all of it takes between the two steps of decoding: two bytes a sample."""
        across = max((each for _, each, _ in self.components), default=1) or 1
        down = max((each for _, _, each in self.components), default=1) or 1
        columns, rows = -(-self.size[0] // (8 * across)), -(-self.size[1] // (8 * down))
        return sum(128 * columns * h * rows * v for _, h, v in self.components)


class Header:
    """What stands before the data of the first scan, which begins at ``data``.

    ``scanned`` is how many components that scan holds. None stands for what is missing.
    """

    def __init__(self) -> None:
        self.segments = list[Segment]()
        self.frame: Frame | None = None
        self.scanned = 0
        self.data: int | None = None


def read_header(file: BinaryIO) -> Header:
    """Read up to the first scan, as decoders do: fill bytes and rubbish are skipped.

    Raises ``ImageError`` for one of more segments than a decoder can keep.
    """
    header = Header()
    for segment in _segments(file):
        marker, start, end = segment
        if len(header.segments) == _MOST_SEGMENTS:
            raise ImageError("corrupt", DAMAGED)
        header.segments.append(segment)
        if marker in FRAMES:
            header.frame = _frame(marker, file.read(end - start)[2:])
        elif marker == SOS:
            header.scanned = (file.read(3) + bytes(3))[2]
            header.data = end
            break
    return header


def _segments(file: BinaryIO) -> Iterator[Segment]:
    """Each with the file at its first byte."""
    position, rubbish = 2, 0
    while rubbish < _MOST_RUBBISH:
        file.seek(position)
        head = file.read(4)
        if len(head) < 2 or head[1] == EOI:
            return
        if head[0] != 0xFF or head[1] in {0, 0xFF}:
            position, rubbish = position + 1, rubbish + 1
        elif head[1] in _ALONE:
            position += 2
        elif len(head) == 4:
            start = position + 2
            position = start + max(2, head[2] << 8 | head[3])
            file.seek(start)
            yield head[1], start, position
        else:
            return


def _frame(marker: int, content: bytes) -> Frame | None:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        return None
    parts = [content[at : at + 3] for at in range(6, 6 + 3 * content[5], 3)]
    components = [(number, both >> 4, both & 15) for number, both, _ in parts]
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    return Frame(marker, content[0], (width, height), components)


def picture_markers(file: BinaryIO, start: int) -> Iterator[tuple[int, int]]:
    """Place and code of SOI, SOS and EOI from ``start`` on: none is ever in a scan's data."""
    position, pattern = start, re.compile(rb"\xff[\xd8-\xda]")
    while True:
        file.seek(position)
        if not (block := file.read(_BLOCK)):
            return
        for found in pattern.finditer(block):
            yield position + found.start(), block[found.start() + 1]
        is_cut = block.endswith(b"\xff") and len(block) > 1
        position += len(block) - is_cut


def size_of(file: BinaryIO) -> int:
    """Of the whole file, in bytes."""
    return file.seek(0, io.SEEK_END)
