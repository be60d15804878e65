"""BMP: which of its many variants can't be read, and run lengths that end before the picture."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.errors import DAMAGED, unsupported
from flowers_onnx.pixels.memory import Need, area, need_of
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import spliced

#: Where the pixels begin, the size of the header, the height, bits of a pixel, compression.
_FIELDS = struct.Struct("<10xII4xi2xHI")
_OLD = 12
_HEADERS = {_OLD, 40, 52, 56, 64, 108, 124}
#: OS/2 lets a header end anywhere between these.
_SHORT = range(16, 64)
_READABLE_BITS, _OTHER_BITS = {1, 4, 8, 16, 24, 32}, {2, 64}
_RLE8, _RLE4, _JPEG, _PNG = 1, 2, 4, 5
#: Windows' own: with transparency, of CMYK.
_OTHERS = {6, 11, 12, 13}


class FormatReader(Reader):
    """Pillow's way."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        head = file.read(_FIELDS.size)
        file.seek(0)
        self._start = self._height = self._compression = 0
        if len(head) < _FIELDS.size:
            return
        start, size, height, bits, compression = _FIELDS.unpack(head)
        if size in _SHORT and size not in _HEADERS:
            raise unsupported("an OS/2 BMP with a short header")
        if size not in _HEADERS:
            raise ImageError("corrupt", DAMAGED)
        if size == _OLD:
            return
        if compression in {_JPEG, _PNG}:
            raise unsupported("a BMP with a JPEG or PNG in it")
        if compression in _OTHERS or bits in _OTHER_BITS:
            raise unsupported("this variant of BMP")
        if compression > max(_OTHERS) or bits not in _READABLE_BITS:
            raise ImageError("corrupt", DAMAGED)
        self._start, self._height, self._compression = start, height, compression

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:
        """Pillow unpacks run lengths into bytes of its own, twice."""
        need = need_of(image, size)
        if self._compression in {_RLE8, _RLE4}:
            need.bytes += 2 * area(size)
        return need

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """Run lengths that end early, as they may: what is left out has the first colour."""
        if self._compression not in {_RLE8, _RLE4}:
            return None
        end = _end_of_runs(self.file, self._start, self._compression)
        if end is None:
            return None
        move_up = b"\0\2\0\xff"
        rows = abs(self._height)
        return Mended(spliced(self.file, [(0, end), move_up * (rows // 255 + 1)]), {})


def _end_of_runs(file: BinaryIO, start: int, compression: int) -> int | None:
    """Where the mark that ends them is; None if they end without one."""
    file.seek(start)
    position = start
    while len(pair := file.read(2)) == 2:
        count, value = pair
        if count == 0 and value == 1:
            return position
        position += 2
        if count == 0 and value == 2:
            position += 2
        elif count == 0 and value > 2:
            length = value if compression == _RLE8 else (value + 1) // 2
            position += length + length % 2
        file.seek(position)
    return None
