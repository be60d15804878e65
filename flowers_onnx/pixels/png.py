"""PNG: the chunks that its pixels need, when others are broken, or too large to be read."""

from __future__ import annotations

import zlib
from collections.abc import Container, Iterator
from typing import Any, BinaryIO, NamedTuple

from flowers_onnx.pixels.errors import unsupported
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import Part, spliced

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
#: The first chunk of those in iPhone apps.
_APPLE = b"CgBI"
_CRITICAL = {b"IHDR", b"PLTE"}
#: Chunks that say what the colours mean.
_COLOUR_LENGTHS = {b"gAMA": 4, b"sRGB": 1}
#: Where the first chunk says which kind of colours it has.
_COLOURS = 25
#: Length of what says which colour is clear, for grey, RGB and a palette.
_TRANSPARENCY = {0: {2}, 2: {6}, 3: set(range(1, 257))}
#: Where Pillow finds how an image is turned, and in which texts. A wrong checksum is no reason
#: to show it lying on its side.
TELLING = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
#: What Pillow calls a text that holds EXIF.
RAW_PROFILE = "Raw profile type exif"
_TEXTS = {b"XML:com.adobe.xmp", RAW_PROFILE.encode()}
#: Most bytes of metadata that are looked at, and of a text when it is unpacked.
MOST, _MOST_TEXT = 4 << 20, 1 << 20


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
        self.file.seek(_COLOURS)
        colours = (self.file.read(1) or b"\0")[0]
        others, info = list[Part](), dict[str, Any]()
        pixels, before, seen = None, b"", set[bytes]()
        for name, start, end in chunks(self.file):
            part = (start - 8, end + 4)
            if name == b"IDAT":
                if not pixels:
                    pixels = part
                elif before == name:  # there may be very many
                    pixels = (pixels[0], part[1])
            elif name in TELLING or (name == b"iCCP" and not pixels):
                info.update(told(name, self.file.read(min(end - start, MOST))))
            elif (
                not pixels
                and name not in seen
                and _is_needed(self.file, name, end - start, colours)
            ):
                seen.add(name)
                others.append(part)
            before = name
        if not pixels:
            return None
        return Mended(spliced(self.file, [_SIGNATURE, *others, pixels, _END]), info)


class _Chunk(NamedTuple):
    """``start`` and ``end`` are those of the content."""

    name: bytes
    start: int
    end: int


def chunks(file: BinaryIO) -> Iterator[_Chunk]:
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


def _is_needed(file: BinaryIO, name: bytes, length: int, colours: int) -> bool:
    """Whether pixels or colours depend on a chunk, and it is what it says."""
    if name == b"tRNS":
        return _is_sound(file, name, length, _TRANSPARENCY.get(colours, ()))
    if name in _COLOUR_LENGTHS:
        return _is_sound(file, name, length, {_COLOUR_LENGTHS[name]})
    return name in _CRITICAL


def _is_sound(file: BinaryIO, name: bytes, length: int, lengths: Container[int]) -> bool:
    """Whether a chunk is as long as it should be, and its checksum right."""
    if length not in lengths:
        return False
    content = name + file.read(length)
    return file.read(4) == zlib.crc32(content).to_bytes(4, "big")


def told(name: bytes, content: bytes) -> dict[str, Any]:
    """What Pillow's ``info`` would have of colours and of how the image is turned."""
    keyword, _, rest = content.partition(b"\0")
    if name == b"eXIf":
        return {"exif": b"Exif\0\0" + content}
    if name == b"iCCP":
        profile = _unpacked(rest[1:], MOST)
        return {"icc_profile": profile} if 0 < len(profile) < MOST else {}
    if keyword not in _TEXTS:
        return {}
    if name == b"zTXt":
        rest = _unpacked(rest[1:], _MOST_TEXT)
    elif name == b"iTXt":
        is_packed, text = rest[:1] == b"\x01", b"".join(rest[2:].split(b"\0", 2)[2:])
        rest = _unpacked(text, _MOST_TEXT) if is_packed else text
    key = keyword.decode()
    found: dict[str, Any] = {key: rest.decode("utf-8", "replace")}
    return {**found, "xmp": rest} if key.startswith("XML") else found


def _unpacked(content: bytes, most: int) -> bytes:
    """The beginning, if it is long; nothing, if it is broken."""
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error:
        return b""
