"""WebP: measured before it is opened, and the chunks that its pixels need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.memory import Need, area
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.reduction import Box
from flowers_onnx.pixels.splice import Part, spliced

#: Two canvases of the decoder, the frame that it gives, and Pillow's image.
_BYTES = 16
_PICTURE = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_INFO = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc_profile"}
#: Of the flags, those of the picture: transparency and animation.
_FLAGS = 0x12


class FormatReader(Reader):
    """Pillow's way, which makes canvases of any size as soon as a file is opened."""

    def early_need(self) -> Need | None:
        self.file.seek(0)
        size = _canvas(self.file.read(30))
        length = self.file.seek(0, 2)
        self.file.seek(0)
        return Need(size, area(size), area(size) * _BYTES + length) if size else None

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        if drawn := _first_frame(self.file, image.size):
            from PIL.ImageFile import _Tile

            # Not used for decoding; what is around the frame would be black.
            image.tile = [_Tile("webp", drawn)]  # type: ignore[attr-defined]
        return image

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:  # noqa: ARG002
        return Need(size, area(size), area(size) * _BYTES)

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """The picture in a container of the right length."""
        size = self.file.seek(0, 2)
        parts, info = list[Part](), dict[str, Any]()
        seen = set[bytes]()
        for name, start, end in chunks(self.file):
            if name in _PICTURE - seen:  # and no second frame
                if end > size:
                    raise ImageError("truncated", "the file ends before the image does")
                seen.add(name)
                parts += [(start - 8, end), bytes((end - start) % 2)]
            elif name == b"VP8X" and not parts and len(content := self.file.read(10)) == 10:
                parts += [b"VP8X\x0a\0\0\0" + bytes([content[0] & _FLAGS]) + content[1:]]
            elif name in _INFO and start < end <= size:
                info.setdefault(_INFO[name], self.file.read(end - start))
        if not seen - {b"ALPH", b"ANIM"}:
            return None
        total = sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in parts)
        head = b"RIFF" + (4 + total).to_bytes(4, "little") + b"WEBP"
        return Mended(spliced(self.file, [head, *parts]), info)


class _Chunk(NamedTuple):
    """``start`` and ``end`` are those of the content."""

    name: bytes
    start: int
    end: int


def chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """Each with the file at its content; the last may reach beyond the file."""
    position = 12
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        start = position + 8
        end = start + int.from_bytes(head[4:], "little")
        yield _Chunk(head[:4], start, end)
        position = end + (end - start) % 2


def _first_frame(file: BinaryIO, canvas: tuple[int, int]) -> Box | None:
    """Which part of the canvas the first frame of an animation covers, if not all of it."""
    for name, _, _ in chunks(file):
        if name == b"ANMF":
            head = file.read(12)
            left, top, width, height = (
                int.from_bytes(head[at : at + 3], "little") for at in (0, 3, 6, 9)
            )
            box = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)
            return None if box == (0, 0, *canvas) else box
        if name in {b"VP8 ", b"VP8L"}:
            return None
    return None


def _canvas(head: bytes) -> tuple[int, int] | None:
    """The size that the first chunk tells."""
    name, content = head[12:16], head[20:]
    if len(head) < 30:
        return None
    if name == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") for at in (4, 7))
        return width + 1, height + 1
    if name == b"VP8 ":
        width, height = (int.from_bytes(content[at : at + 2], "little") for at in (6, 8))
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
