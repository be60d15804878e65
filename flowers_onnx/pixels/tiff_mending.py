"""A TIFF's first picture with no other tags than its pixels, colours and position need.

What else there is, or a value that is nowhere, has readers stop, or lose the tags behind it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.splice import spliced
from flowers_onnx.tiff_directory import BROKEN, WHOLE, Directory, Entry, TiffReader

_WIDTH, _LENGTH, _STRIPS, _ROWS, _STRIP_SIZES = 256, 257, 273, 278, 279
_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_SIZES = 322, 323, 324, 325
#: Of one whole number; of more, the first counts.
_SINGLE = {
    *(_WIDTH, _LENGTH, 259, 262, 266, 274, 277, _ROWS, 284, 292, 293, 317),
    *(_TILE_WIDTH, _TILE_LENGTH, 332, 512, 513, 514, 515, 531),
}
_SEVERAL = {
    *(258, _STRIPS, _STRIP_SIZES, 320, _TILES, _TILE_SIZES, 338, 339, 519, 520, 521, 530, 50674),
}  # fmt: skip
#: White, primaries, how YCbCr is made.
_FRACTIONS, _FRACTION_TYPES = {318, 319, 529, 532}, {3, 4, 5, 10, 11, 12}
#: JPEG tables; XMP, which may say how the picture is turned; its profile.
_BYTES, _BYTE_TYPES, _UNDEFINED = {347, 700, 34675}, {1, 2, 6, 7}, 7
#: Without these there is no picture.
_NEEDED = {_WIDTH, _LENGTH, 258, _STRIPS, 277, 320, _TILES}
#: Numbers of a tag that are looked at.
_MOST = 16
_LONG, _MOST_LONG = 4, (1 << 32) - 1


class First(NamedTuple):
    """The first picture's directory; ``tags`` are its whole numbers, at most ``_MOST`` of each."""

    reader: TiffReader
    directory: Directory
    tags: Mapping[int, tuple[int, ...]]

    @property
    def is_misread(self) -> bool:
        """Whether Pillow would lose tags, or take tiles for strips."""
        entries = self.directory.entries
        is_all = all(self.reader.is_there(entry) for entry in entries)
        return self.directory.is_cut or not is_all or self.is_tiled_in_strips

    @property
    def is_tiled_in_strips(self) -> bool:
        """Whether the old tags say where tiles are, as some early programs had it."""
        count = sum(entry.length for entry in self.directory.entries if entry.tag == _STRIPS)
        width, length = self._one(_WIDTH), self._one(_LENGTH)
        across, down = self._one(_TILE_WIDTH), self._one(_TILE_LENGTH)
        if _TILES in self.tags or not across or not down:
            return False
        strips = -(-length // (self._one(_ROWS) or length or 1))
        return count == -(-width // across) * -(-length // down) != strips

    def _one(self, tag: int) -> int:
        return self.tags.get(tag, (0,))[0]


def first_of(file: BinaryIO) -> First | None:
    """None for a file without a directory."""
    try:
        reader = TiffReader(file)
        directory = reader.directory(reader.first)
        tags = dict[int, tuple[int, ...]]()
        for entry in directory.entries:
            if entry.tag in _SINGLE | _SEVERAL and entry.tag not in tags and reader.is_there(entry):
                tags[entry.tag] = reader.numbers(entry, _MOST)
    except BROKEN:
        return None
    return First(reader, directory, {tag: found for tag, found in tags.items() if found})


def mended_tiff(file: BinaryIO, first: First) -> BinaryIO:
    """``file`` with another directory in place of the first, which is no shorter.

    Raises ``ImageError`` if what the picture needs is nowhere.
    """
    reader, rows = first.reader, dict[int, Entry]()
    for entry in first.directory.entries:
        if not reader.is_there(entry):
            if entry.tag in _NEEDED - rows.keys():
                raise ImageError("truncated", "the file ends before the image does")
        elif entry.tag not in rows and (row := _sound(first, entry)):
            rows[entry.tag] = row
    if first.is_tiled_in_strips:
        for strips, tiles in ((_STRIPS, _TILES), (_STRIP_SIZES, _TILE_SIZES)):
            if strips in rows:
                rows[tiles] = rows.pop(strips)._replace(tag=tiles)
    written = b"".join(
        [
            struct.pack(reader.counting, len(rows)),
            *(struct.pack(reader.entry, *rows[tag]) for tag in sorted(rows)),
            struct.pack(reader.pointer, 0),
        ]
    )
    # Behind the file, it would pass for pixels that are missing.
    end = file.seek(0, io.SEEK_END)
    return spliced(file, [(0, reader.first), written, (reader.first + len(written), end)])


def _sound(first: First, entry: Entry) -> Entry | None:
    """The entry in a type that readers take; None for one that is of no use."""
    tag, kind, length, field = entry
    if not length:
        return None
    if tag in _SINGLE and tag in first.tags:
        number = struct.pack(first.reader.order + "I", min(first.tags[tag][0], _MOST_LONG))
        return Entry(tag, _LONG, 1, number.ljust(len(field), b"\0"))
    if tag in _BYTES and kind in _BYTE_TYPES:
        return entry._replace(type=_UNDEFINED)
    is_whole = tag in _SEVERAL and kind in WHOLE
    return entry if is_whole or (tag in _FRACTIONS and kind in _FRACTION_TYPES) else None
