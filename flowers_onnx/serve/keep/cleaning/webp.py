"""WebP, still or animated: the chunks of the picture, the ICC profile and the animation.

EXIF, XMP and unknown chunks go, also from within the frames, and what stands behind the container.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from flowers_onnx.serve.keep.cleaning import CannotCleanError, orientation

_SIMPLE = {b"VP8 ", b"VP8L"}
_PICTURE = _SIMPLE | {b"ALPH"}
_KEPT = _PICTURE | {b"ICCP", b"ANIM"}
_HAS_XMP, _HAS_EXIF = 0x04, 0x08
_FRAME_HEADER = 16


class _Chunk(NamedTuple):
    name: bytes
    content: memoryview


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    view = memoryview(data)
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    chunks = list(_chunks(view[12:end]))
    if not chunks:
        raise CannotCleanError("no chunk")
    first = chunks[0]
    if first.name in _SIMPLE:
        return _container([first])
    if first.name != b"VP8X" or len(first.content) < 10:
        raise CannotCleanError("no picture")
    flags = first.content[0]
    exif = orientation.exif(orientation.told_by(_info(chunks, flags)))
    flags = flags & ~(_HAS_XMP | _HAS_EXIF) | (_HAS_EXIF if exif else 0)
    kept = [_Chunk(b"VP8X", memoryview(bytes([flags]) + first.content[1:10]))]
    for chunk in chunks[1:]:
        if chunk.name == b"ANMF":
            kept.append(_frame(chunk.content))
        elif chunk.name in _KEPT:
            kept.append(chunk)
    if exif:
        kept.append(_Chunk(b"EXIF", memoryview(exif)))
    return _container(kept)


def _info(chunks: list[_Chunk], flags: int) -> dict[str, bytes]:
    """EXIF and XMP as the reader finds them: if the flags say so, the first of each."""
    wanted = ((b"EXIF", "exif", _HAS_EXIF), (b"XMP ", "xmp", _HAS_XMP))
    found = {
        key: [bytes(chunk.content) for chunk in chunks if chunk.name == name]
        for name, key, flag in wanted
        if flags & flag
    }
    return {key: contents[0] for key, contents in found.items() if contents and contents[0]}


def _frame(content: memoryview) -> _Chunk:
    inner = [chunk for chunk in _chunks(content[_FRAME_HEADER:]) if chunk.name in _PICTURE]
    return _Chunk(b"ANMF", memoryview(b"".join([content[:_FRAME_HEADER], *_written(inner)])))


def _chunks(view: memoryview) -> Iterator[_Chunk]:
    position = 0
    while position + 8 <= len(view):
        name, size = struct.unpack_from("<4sI", view, position)
        content = view[position + 8 : position + 8 + size]
        if len(content) < size:
            raise CannotCleanError("a chunk is longer than the file")
        yield _Chunk(name, content)
        position += 8 + size + size % 2


def _container(chunks: list[_Chunk]) -> bytes:
    parts = list(_written(chunks))
    size = 4 + sum(map(len, parts))
    return b"".join([b"RIFF", size.to_bytes(4, "little"), b"WEBP", *parts])


def _written(chunks: list[_Chunk]) -> Iterator[bytes | memoryview]:
    for name, content in chunks:
        yield struct.pack("<4sI", name, len(content))
        yield content
        if len(content) % 2:
            yield b"\0"
