"""PNG: the chunks that its pixels need, when others are broken, or too large to be read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from flowers_onnx.pixels.errors import unsupported
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import Part, spliced

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
#: The first chunk of those in iPhone apps.
_APPLE = b"CgBI"
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}
#: Length of what says which colour is clear, for grey, RGB and a palette.
_TRANSPARENCY = {0: {2}, 2: {6}, 3: set(range(1, 257))}
#: Where Pillow finds how an image is turned.
_TELLING = {b"XML:com.adobe.xmp", b"Raw profile type exif"}
#: Most bytes of metadata that are looked at, and of a text when it is unpacked.
_MOST, _MOST_TEXT = 4 << 20, 1 << 20


class FormatReader(Reader):
    """Pillow's way, and what is left when metadata has stopped it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        is_apple = file.read(16)[12:] == _APPLE
        file.seek(0)
        if is_apple:
            raise unsupported("Apple's own variant of PNG (CgBI)")

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """Critical chunks as they are, transparency if it is sound: Pillow's first frame."""
        pixels, others = list[tuple[int, int]](), list[Part]()
        info, colours = dict[str, Any](), -1
        for name, start, end in _chunks(self.file):
            part = (start - 8, end + 4)
            if name == b"IDAT" and pixels and pixels[-1][1] == part[0]:
                pixels[-1] = (pixels[-1][0], part[1])  # there may be very many
            elif name == b"IDAT":
                pixels.append(part)
            elif pixels:
                break
            elif name in _CRITICAL:
                others.append(part)
                if name == b"IHDR":
                    colours = (self.file.read(10) + bytes(10))[9]
            elif (content := _sound(self.file, name, end - start)) is None:
                continue
            elif name == b"tRNS" and len(content) in _TRANSPARENCY.get(colours, ()):
                others.append(part)
            else:
                info.update(_told(name, content))
        if not pixels:
            return None
        return Mended(spliced(self.file, [_SIGNATURE, *others, *pixels, _END]), info)


class _Chunk(NamedTuple):
    """``start`` and ``end`` are those of the content."""

    name: bytes
    start: int
    end: int


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """Each with the file at its content; the last may reach beyond the file."""
    position = len(_SIGNATURE)
    while True:
        file.seek(position)
        head = file.read(8)
        name = head[4:]
        if len(head) < 8 or not name.isalpha():
            return
        end = position + 8 + int.from_bytes(head[:4], "big")
        yield _Chunk(name, position + 8, end)
        position = end + 4


def _sound(file: BinaryIO, name: bytes, length: int) -> bytes | None:
    """The content of a chunk if its checksum is right."""
    if length > _MOST:
        return None
    content = file.read(length)
    checksum = zlib.crc32(content, zlib.crc32(name)).to_bytes(4, "big")
    return content if file.read(4) == checksum else None


def _told(name: bytes, content: bytes) -> dict[str, Any]:
    """What Pillow's ``info`` would have of colours and of how the image is turned."""
    keyword, _, rest = content.partition(b"\0")
    if name == b"eXIf":
        return {"exif": b"Exif\0\0" + content}
    if name == b"iCCP":
        profile = _unpacked(rest[1:], _MOST)
        return {"icc_profile": profile} if len(profile) < _MOST else {}
    if keyword not in _TELLING:
        return {}
    if name == b"zTXt":
        rest = _unpacked(rest[1:], _MOST_TEXT)
    elif name == b"iTXt":
        is_packed, text = rest[:1] == b"\x01", b"".join(rest[2:].split(b"\0", 2)[2:])
        rest = _unpacked(text, _MOST_TEXT) if is_packed else text
    key = keyword.decode()
    told: dict[str, Any] = {key: rest.decode("utf-8", "replace")}
    return {**told, "xmp": rest} if key.startswith("XML") else told


def _unpacked(content: bytes, most: int) -> bytes:
    """The beginning, if it is long; nothing, if it is broken."""
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error:
        return b""
