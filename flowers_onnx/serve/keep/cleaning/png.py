"""PNG, animated or not: the chunks that decide on pixels and colours, up to IEND.

Text, time, EXIF and private chunks (C2PA's among them) go.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from PIL.PngImagePlugin import PngImageFile

from flowers_onnx.pixels import orientation_of
from flowers_onnx.serve.keep.cleaning import CannotCleanError, orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IDAT", b"DDAT", b"fdAT"}
_KEPT = {
    *(b"IHDR", b"PLTE", b"IEND", b"tRNS", b"bKGD", b"sBIT", b"hIST", b"sPLT", b"pHYs"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL"),
    *_PIXELS,
}
#: Where Pillow looks for an orientation.
_TELLING = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
#: From the second frame of an animation on, the reader looks at nothing any more.
_BEHIND = b"fcTL behind pixels"
_NEXT_FRAME = {b"acTL", _BEHIND}
_NAME = re.compile(rb"\w{4}", re.ASCII)


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    view, parts = memoryview(data), list[bytes | memoryview]([_SIGNATURE])
    telling, seen = list[bytes](), set[bytes]()
    for name, start, length in _chunks(data):
        if not seen and name != b"IHDR":
            raise CannotCleanError("no IHDR")
        if name in _PIXELS and not seen & _PIXELS:
            telling.append(_PIXEL)
        if name in _KEPT:
            if start + length > len(data):
                raise CannotCleanError("a chunk is longer than the file")
            parts.append(view[start - 8 : start + length + 4])
        elif name in _TELLING and not seen >= _NEXT_FRAME and start + length <= len(data):
            telling.append(_chunk(name, data[start : start + length]))
        seen.add(_BEHIND if name == b"fcTL" and seen & _PIXELS else name)
    if not seen & _PIXELS:
        raise CannotCleanError("no pixels")
    if block := orientation.exif(_orientation(telling)):
        parts.insert(2, _chunk(b"eXIf", block))
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and its length, up to IEND or what is no chunk."""
    position, name = len(_SIGNATURE), b""
    while position + 8 <= len(data) and name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position)
        if not _NAME.fullmatch(name):
            return
        yield name, position + 8, length
        position += 12 + length


def _orientation(chunks: list[bytes]) -> int:
    """What Pillow makes of these; one of them is a pixel, for it tells before from behind."""
    if len(chunks) == 1:
        return 1
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    content = b"".join([_SIGNATURE, header, *chunks, _chunk(b"IEND", b"")])
    try:
        with PngImageFile(io.BytesIO(content)) as image:
            image.load()
            return orientation.sound(orientation_of(image))
    except Exception as error:  # the picture itself can't have been read
        raise CannotCleanError("its text can't be read") from error


def _chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


_PIXEL = _chunk(b"IDAT", zlib.compress(b"\0\0"))
