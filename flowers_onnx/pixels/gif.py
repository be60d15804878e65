"""GIF: its first frame, which may be larger than the canvas that the header tells of."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from PIL import Image

from flowers_onnx.pixels.memory import Need, area
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import Part, spliced

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
_HEADER = 13
#: XMP is the largest that stands before a picture.
_MOST_BEFORE = 4 << 20
#: The image, the canvas that it is put on, and what it leaves for the next frame.
_BYTES = 3


class _Frame(NamedTuple):
    """The first one, and the canvas that holds it; ``control`` is where its transparency is."""

    canvas: tuple[int, int]
    start: int
    data: int
    control: tuple[int, int] | None


class FormatReader(Reader):
    """Pillow's way, but measured before: it takes memory, or gives up, when it is opened."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        self._frame = _first_frame(file)
        file.seek(0)

    def early_need(self) -> Need | None:
        return self._frame and _need(self._frame.canvas)

    def open(self, file: BinaryIO) -> Image.Image:
        try:
            image = super().open(file)
        except Image.DecompressionBombError:
            if self._frame is None:
                raise
        else:
            if self._frame is None or image.size == self._frame.canvas:
                return image
        raise SyntaxError("Pillow has lost its way in an extension")

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:  # noqa: ARG002
        return _need(size)

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """The first frame and nothing else, with an end."""
        if (frame := self._frame) is None:
            return None
        self.file.seek(0)
        parts: list[Part] = [(0, _HEADER + _palette(self.file.read(_HEADER), 10))]
        if frame.control:
            parts.append(frame.control)
        self.file.seek(frame.data)
        data, place = self.file.read(), 0
        while place < len(data) and data[place] and place + 1 + data[place] <= len(data):
            place += 1 + data[place]
        parts.append((frame.start, frame.data + place))
        if rest := data[place + 1 :] if data[place : place + 1] != b"\0" else b"":
            parts.append(bytes([len(rest)]) + rest)  # of the last block there is less than it says
        parts.append(b"\0;")
        return Mended(spliced(self.file, parts), {})


def _need(canvas: tuple[int, int]) -> Need:
    return Need(canvas, area(canvas), area(canvas) * _BYTES)


def _first_frame(file: BinaryIO) -> _Frame | None:
    """None for a file that ends before, or says too much."""
    head = file.read(_HEADER)
    if len(head) < _HEADER:
        return None
    position, control = _HEADER + _palette(head, 10), None
    while position < _MOST_BEFORE:
        file.seek(position)
        block = file.read(11)
        if not block or block[0] == _TRAILER:
            return None
        if block[0] == _IMAGE and len(block) == 11:
            left, top, width, height = (
                int.from_bytes(block[at : at + 2], "little") for at in (1, 3, 5, 7)
            )
            canvas = [int.from_bytes(head[at : at + 2], "little") for at in (6, 8)]
            whole = max(canvas[0], left + width), max(canvas[1], top + height)
            data = position + 11 + _palette(block, 9)
            return _Frame(whole, position, data, control)
        if block[0] == _EXTENSION:
            end = _behind_blocks(file, position + 2)
            if block[1:3] == bytes([_CONTROL, 4]) and end == position + 8:
                control = (position, end)
            position = end
        else:
            position += 1  # readers skip it
    return None


def _palette(data: bytes, at: int) -> int:
    """The size of the palette that the flags at ``at`` tell of."""
    return 3 << (data[at] & 7) + 1 if data[at] & 0x80 else 0


def _behind_blocks(file: BinaryIO, position: int) -> int:
    """Where a chain of blocks ends, each a length and as many bytes; the last is empty."""
    file.seek(position)
    while position < _MOST_BEFORE and (length := (file.read(1) or b"\0")[0]):
        position = file.seek(position + 1 + length)
    return position + 1
