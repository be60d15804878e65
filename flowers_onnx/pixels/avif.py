"""AVIF: what its planes take to decode, and the picture without broken EXIF or XMP."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from PIL import Image

from flowers_onnx.pixels.memory import Need, area
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import Part, spliced

#: How each of its pictures is coded: behind version and level, a byte of flags.
_CODING = re.compile(rb"av1C\x81.(.)", re.DOTALL)
#: The size of a picture, or of the grid that holds it.
_SIZE = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)
_HIGH, _MONOCHROME, _HALF_WIDTH, _HALF_HEIGHT = 0x40, 0x10, 0x08, 0x04
#: What says that a picture is another one's transparency.
_TRANSPARENCY = b"auxC"
#: An item's type, behind its number and protection: EXIF, or XMP.
_METADATA = re.compile(rb"infe(?:\x02.{7}|\x03.{9})(Exif|mime)", re.DOTALL)
_MOST = 1 << 20


class FormatReader(Reader):
    """Pillow's way, which reads the whole file when it opens it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        self._start, self._boxes = _index(file)
        self._length = file.seek(0, 2)
        file.seek(0)

    def early_need(self) -> Need | None:
        sizes = [struct.unpack(">II", size) for size in _SIZE.findall(self._boxes)]
        bands = 4 if _TRANSPARENCY in self._boxes else 3
        return self._need(max(sizes, key=area), bands) if sizes else None

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:
        return self._need(size, len(image.getbands()))

    def _need(self, size: tuple[int, int], bands: int) -> Need:
        """The file, its planes, what libavif makes of them for Pillow, and Pillow's image."""
        each = _plane_bytes(self._boxes) * 1.25 + bands + 4
        return Need(size, area(size), int(area(size) * each) + self._length)

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """The same file where these items are of no known type; nothing else moves."""
        places = [self._start + found.start(1) for found in _METADATA.finditer(self._boxes)]
        if not places:
            return None
        parts, done = list[Part](), 0
        for place in places:
            parts += [(done, place), b"free"]
            done = place + 4
        return Mended(spliced(self.file, [*parts, (done, self._length)]), {})


def _index(file: BinaryIO) -> tuple[int, bytes]:
    """Where the box that tells of all items is, and its content; nothing, if it is a huge one."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(8)
        size = int.from_bytes(head[:4], "big")
        if len(head) < 8 or size < 8:
            return 0, b""
        if head[4:] == b"meta":
            return position + 8, file.read(size - 8) if size < _MOST else b""
        position += size


def _plane_bytes(index: bytes) -> float:
    """Of a pixel: the most that a picture in colours takes, and one in grey: transparency."""
    colour = grey = 0.0
    for flags in _CODING.findall(index):
        deep = 2 if flags[0] & _HIGH else 1
        chroma = 2 / (1 + bool(flags[0] & _HALF_WIDTH)) / (1 + bool(flags[0] & _HALF_HEIGHT))
        if flags[0] & _MONOCHROME:
            grey = max(grey, deep)
        else:
            colour = max(colour, deep * (1 + chroma))
    return colour + grey
