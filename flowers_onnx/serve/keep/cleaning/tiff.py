"""TIFF and BigTIFF: the first page, with the tags that decide on its pixels and colours.

All else becomes zeros where it was: other pages, EXIF, GPS, XMP, IPTC, Photoshop's blocks, names,
dates, programs, makers' tags, and whatever no tag points to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from PIL.TiffImagePlugin import TiffImageFile

from flowers_onnx.serve.keep.cleaning import CannotCleanError, jpeg
from flowers_onnx.serve.keep.cleaning.orientation import blank_xmp, cleaned_in_place
from flowers_onnx.serve.keep.cleaning.ranges import Ranges

_WIDTH, _LENGTH, _BITS, _COMPRESSION = 256, 257, 258, 259
_SAMPLES, _ROWS, _PLANAR = 277, 278, 284
_STRIPS, _STRIP_SIZES = 273, 279
_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_SIZES = 322, 323, 324, 325
_JPEG_TABLES, _XMP = 347, 700
_KEPT = {
    *range(254, 260), *(262, 263, 264, 265, 266, 273, 274), *range(277, 285), *range(290, 294),
    *(296, 301), *range(317, 326), *(332, 334, 336, 338, 339, 340, 341, _JPEG_TABLES),
    *range(529, 533), *(32995, 32996, 32997, 32998, 34675),
}  # fmt: skip
#: Raw, the fax ones, LZW, JPEG, deflate, 16-bit raw, PackBits, SGI's, LZMA, Zstandard: none of
#: them but JPEG has room for anything beside pixels.
_RAW, _JPEG = 1, 7
_COMPRESSIONS = {
    _RAW, 2, 3, 4, 5, _JPEG, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000,
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}


class _Layout(NamedTuple):
    """How numbers are written: ``rows`` says how many are in a directory, ``entry`` is one."""

    order: str
    rows: str
    entry: str
    inline: int

    @property
    def start(self) -> int:
        return 8 if self.inline == 8 else 4


class _Entry(NamedTuple):
    raw: bytes
    type: int
    start: int
    end: int
    is_inline: bool


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    return cleaned_in_place(data, _blank, TiffImageFile)


def _blank(data: bytes, *, keep_xmp: bool) -> bytes:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    layout = _Layout(order, "Q", "HHQQ", 8) if big else _Layout(order, "H", "HHII", 4)
    (directory,) = struct.unpack_from(order + ("Q" if big else "I"), data, layout.start)
    ranges = Ranges(data)
    ranges.keep(0, layout.start + layout.inline)
    entries = _entries(data, directory, layout)
    if not keep_xmp:
        entries.pop(_XMP, None)
    for tag, entry in entries.items():
        if entry.is_inline:
            continue
        value = data[entry.start : entry.end]
        if tag == _XMP:
            ranges.write(entry.start, blank_xmp(value))
        elif tag == _JPEG_TABLES:
            _keep_jpeg(data, entry.start, entry.end, ranges)
        else:
            ranges.keep(entry.start, entry.end)
    numbers = {tag: _numbers(data, entry, order) for tag, entry in entries.items()}
    is_jpeg = _one(numbers, _COMPRESSION, 1) == _JPEG
    for start, end in _pixels(numbers, len(data)):
        if is_jpeg:
            _keep_jpeg(data, start, end, ranges)
        else:
            ranges.keep(start, end)
    # The entries that are left, closer together, and no next page.
    rows = b"".join(entry.raw for entry in entries.values())
    head = struct.pack(order + layout.rows, len(entries))
    ranges.write(directory, head + rows + bytes(layout.inline))
    return ranges.joined()


def _entries(data: bytes, directory: int, layout: _Layout) -> dict[int, _Entry]:
    """What is kept of the directory, by tag."""
    (count,) = struct.unpack_from(layout.order + layout.rows, data, directory)
    row = struct.Struct(layout.order + layout.entry)
    first = directory + struct.calcsize(layout.order + layout.rows)
    found = dict[int, _Entry]()
    for at in range(first, first + count * row.size, row.size):
        tag, kind, number, offset = row.unpack_from(data, at)
        if tag not in _KEPT | {_XMP} or kind not in _SIZES:
            continue
        if tag in found:
            raise CannotCleanError("a tag that is there twice")
        size = number * _SIZES[kind]
        is_inline = size <= layout.inline
        start = at + row.size - layout.inline if is_inline else offset
        if start + size > len(data):
            raise CannotCleanError("a tag whose value isn't there")
        found[tag] = _Entry(data[at : at + row.size], kind, start, start + size, is_inline)
    return found


def _numbers(data: bytes, entry: _Entry, order: str) -> tuple[int, ...]:
    """The whole numbers of an entry; none where it holds something else."""
    if (code := _WHOLE.get(entry.type)) is None:
        return ()
    count = (entry.end - entry.start) // struct.calcsize(order + code)
    return struct.unpack_from(f"{order}{count}{code}", data, entry.start)


def _pixels(numbers: Mapping[int, tuple[int, ...]], file_size: int) -> Iterator[tuple[int, int]]:
    """Where the strips or tiles are."""
    compression = _one(numbers, _COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise CannotCleanError(f"compression {compression} may hold more than pixels")
    in_strips = _STRIPS in numbers
    offsets = numbers.get(_STRIPS if in_strips else _TILES, ())
    sizes = numbers.get(_STRIP_SIZES if in_strips else _TILE_SIZES, ())
    if not offsets or len(offsets) != len(sizes) or not all(sizes):
        raise CannotCleanError("how long its strips or tiles are isn't told")
    if compression != _RAW:
        for start, size in zip(offsets, sizes, strict=True):
            yield start, start + size
        return
    for start, size, needed in zip(offsets, sizes, _raw_sizes(numbers, in_strips), strict=False):
        if size < needed:
            raise CannotCleanError("a strip or a tile is shorter than its pixels")
        yield start, min(start + needed, file_size)


def _raw_sizes(numbers: Mapping[int, tuple[int, ...]], in_strips: bool) -> Iterator[int]:  # noqa: FBT001
    """What the reader takes of each strip or tile, whatever its size is said to be."""
    bits, samples = numbers.get(_BITS, (1,)), _one(numbers, _SAMPLES, 1)
    is_planar = _one(numbers, _PLANAR, 1) == 2
    per_pixel = bits[0] if is_planar else bits[0] * samples if len(bits) == 1 else sum(bits)
    width, length = _one(numbers, _WIDTH), _one(numbers, _LENGTH)
    if in_strips:
        rows = min(_one(numbers, _ROWS, length), length)
    else:
        width, rows = _one(numbers, _TILE_WIDTH), _one(numbers, _TILE_LENGTH)
    if not rows or not width:
        raise CannotCleanError("strips or tiles without a size")
    row = (width * per_pixel + 7) // 8
    while True:
        if not in_strips:
            yield row * rows
            continue
        for first in range(0, length, rows):
            yield row * min(rows, length - first)


def _one(numbers: Mapping[int, tuple[int, ...]], tag: int, default: int | None = None) -> int:
    values = numbers.get(tag) or (() if default is None else (default,))
    if not values:
        raise CannotCleanError("a tag that a picture needs isn't there")
    return values[0]


def _keep_jpeg(data: bytes, start: int, end: int, ranges: Ranges) -> None:
    """Keep a JPEG stream, but for the content of segments that aren't the picture."""
    if data[start : start + 2] != b"\xff\xd8":
        raise CannotCleanError("a strip or a tile that is no JPEG")
    ranges.blank(start, end)
    ranges.keep(start, start + 2)
    for segment in jpeg.segments(data, start, end):
        marker, first, behind = segment
        if not marker:
            ranges.keep(first, behind)
            continue
        size = jpeg.kept(data, segment)
        length = min(2, behind - first)
        ranges.keep(first - 2, first + max(size, length))
        if size < behind - first and size:
            raise CannotCleanError("a strip or a tile with a thumbnail")
