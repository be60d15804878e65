"""JPEG: segments up to the first end of image; the compressed data between them isn't looked at.

Of the application segments stay JFIF and Adobe, which decide on the colour space, and the ICC
profile: no thumbnail, no EXIF, XMP, IPTC, maker's note, C2PA. A second image (MPF, a gain map) or
a film stands behind the first end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from flowers_onnx.pixels.jpeg_header import EOI, SOS
from flowers_onnx.pixels.jpeg_mending import COMMENT, EXIF, JFIF, deciding, note_metadata
from flowers_onnx.serve.keep.cleaning import CannotCleanError, orientation

#: A file has no such thing as a segment for these.
_ALONE = {0x01, 0xC8, *range(0xD0, 0xD9), *range(0xF0, 0xFE)}
#: What ends a scan: no stuffed byte, no restart, no fill byte, none of the codes that decoders
#: take for damage within a scan.
_BEHIND_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")


class Segment(NamedTuple):
    """``marker`` 0 is a scan's compressed data; ``start`` is the first byte behind the marker."""

    marker: int
    start: int
    end: int


def segments(data: bytes, start: int, end: int) -> Iterator[Segment]:
    """What stands between SOI at ``start`` and the first EOI, which comes last, or ``end``.

    As decoders read it: fill bytes and rubbish between segments are skipped.
    """
    position = start + 2
    while (position := data.find(b"\xff", position, end)) >= 0:
        while position < end and data[position] == 0xFF:
            position += 1
        if position >= end:
            return
        marker = data[position]
        position += 1
        if marker == EOI:
            yield Segment(EOI, position, position)
            return
        if marker < 0xC0 or marker in _ALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        yield Segment(marker, position, min(position + max(length, 2), end))
        position += max(length, 2)
        if marker == SOS and position < end:
            found = _BEHIND_SCAN.search(data, position, end)
            stop = found.start() if found else end
            yield Segment(0, position, stop)
            position = stop


def kept(data: bytes, segment: Segment) -> int:
    """How many bytes of a segment behind its marker decide on the picture; 0: leave it out."""
    marker, start, end = segment
    if not JFIF <= marker <= COMMENT:
        return end - start
    size = deciding(marker, data[start + 2 : end])
    return 2 + size if size else 0


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    view, parts, info = memoryview(data), list[bytes | memoryview]([b"\xff\xd8"]), dict[str, Any]()
    exif_at = 1  # EXIF comes first, or behind JFIF
    has_scan = has_end = is_doubtful = False
    for segment in segments(data, 0, len(data)):
        if segment.marker == EXIF and not has_scan:
            note_metadata(data[segment.start + 2 : segment.end], info)
        has_scan |= segment.marker == SOS
        has_end |= segment.marker == EOI
        written = _written(data, view, segment)
        if segment.marker == SOS:
            is_doubtful = False
        elif has_scan and not written:
            is_doubtful |= data[segment.end : segment.end + 1] != b"\xff"
        if segment.marker == JFIF and len(parts) == 1:
            exif_at += len(written)
        parts += written
    if is_doubtful:
        raise CannotCleanError("damage in the last scan that looks like a segment")
    if not has_end:
        parts.append(b"\xff\xd9")
    if not has_scan:
        raise CannotCleanError("no JPEG scan")
    if block := orientation.exif(orientation.told_by(info)):
        parts.insert(exif_at, b"\xff\xe1%b" % _sized(b"Exif\0\0" + block))
    return b"".join(parts)


def _written(data: bytes, view: memoryview, segment: Segment) -> list[bytes | memoryview]:
    """What is kept of a segment, with its marker."""
    marker, start, end = segment
    if not marker:
        return [view[start:end]]
    size, code = kept(data, segment), b"\xff%c" % marker
    if size == end - start:
        return [code, view[start:end]]
    if not size:
        return []
    payload = data[start + 2 : start + size]
    if marker == JFIF:  # what follows is a thumbnail of the width and height that end it
        payload = payload[:12] + b"\0\0"
    return [code, _sized(payload)]


def _sized(payload: bytes) -> bytes:
    return (len(payload) + 2).to_bytes(2, "big") + payload
