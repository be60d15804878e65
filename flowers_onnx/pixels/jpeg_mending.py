"""What is left of a JPEG that can't be decoded as it is: its pixels, if all are there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.jpeg_header import (
    EOI,
    MAX_SCANS,
    RESTARTS,
    SOS,
    ZEROS,
    Frame,
    Header,
    picture_markers,
    size_of,
)
from flowers_onnx.pixels.memory import Need, check, reserved
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.splice import Part, spliced

#: Application segments, which JFIF is the first of, and comments behind them.
JFIF, EXIF, ICC, _ADOBE, COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
#: How those begin that decide on colours, and how many bytes of them do; 0 for all.
_DECIDING = {JFIF: (b"JFIF\0", 14), ICC: (b"ICC_PROFILE\0", 0), _ADOBE: (b"Adobe", 12)}
_EXIF_NAME, _XMP_NAME = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_END = b"\xff\xd9"
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_TAIL = 1 << 20
#: The most that libjpeg reduces by.
_COARSEST = 8
#: Of a scan.
_MOST_COMPONENTS = 4
#: Bits of all kinds; no marker, which would end them.
_ONES = b"\xff\0" * 32
_NOISE = [hashlib.sha512(bytes([i])).digest().replace(b"\xff", b"\xfe") for i in range(2)]


def mended_jpeg(reader: Reader, header: Header, max_pixels: int) -> Mended | None:
    """The first picture's tables and data, with an end; None if pixels are missing."""
    if header.frame is None or header.data is None:
        return None
    kept, info = _kept(reader.file, header)
    scans, end = [header.segments[-1][1] - 2], None
    for place, marker in picture_markers(reader.file, header.data):
        if marker == SOS:
            scans.append(place)
            if len(scans) > MAX_SCANS:  # each is looked at, and decoded several times
                return None
        elif marker == EOI:
            return Mended(spliced(reader.file, [*kept, (header.data, place + 2)]), info)
        else:  # the next picture begins
            end = place
            break
    end, restart = _end_of_data(reader.file, end)
    parts = [*kept, (header.data, end)]
    if not _has_all_scans(reader.file, header.frame, scans):
        return None
    check = _Check(reader, parts, list(_continuations(restart)), max_pixels)
    return Mended(spliced(reader.file, [*parts, _END]), info) if check.is_whole() else None


def is_cut(reader: Reader, header: Header, max_pixels: int) -> bool:
    """Whether the data ends before the picture does, whatever stands behind it."""
    if header.data is None:
        return False
    markers = picture_markers(reader.file, header.data)
    behind = next((place for place, marker in markers if marker != SOS), None)
    kept, _ = _kept(reader.file, header)
    end, restart = _end_of_data(reader.file, behind)
    ends = list(_continuations(restart))
    return not _Check(reader, [*kept, (header.data, end)], ends, max_pixels).is_same(_COARSEST)


def _kept(file: BinaryIO, header: Header) -> tuple[list[Part], dict[str, Any]]:
    """What decides on pixels and colours, and what Pillow would have told of EXIF and XMP."""
    parts, info = list[Part]([b"\xff\xd8"]), dict[str, Any]()
    profile = list[tuple[bytes, Part]]()
    for marker, start, end in header.segments:
        file.seek(start + 2)
        content = file.read(end - start - 2)
        part = (start - 2, end)
        if marker == EXIF:
            note_metadata(content, info)
        elif marker == ICC and deciding(marker, content):
            profile.append((content, part))
        elif not JFIF <= marker <= COMMENT or deciding(marker, content):
            parts.append(part)
    numbers = [content[12:14] for content, _ in profile]
    if sorted(numbers) == [bytes([i + 1, len(numbers)]) for i in range(len(numbers))]:
        parts[1:1] = [part for _, part in profile]
    return parts, info


def deciding(marker: int, content: bytes) -> int:
    """How many bytes of an application segment decide on the picture's colours."""
    name, size = _DECIDING.get(marker, (None, 0))
    if name is None or not content.startswith(name) or len(content) < size:
        return 0
    return size or len(content)


def note_metadata(content: bytes, info: dict[str, Any]) -> None:
    """Gather EXIF and XMP from a segment as Pillow does: EXIF may be cut into several."""
    if content.startswith(_EXIF_NAME):
        info["exif"] = info["exif"] + content[6:] if "exif" in info else content
    elif content.startswith(_XMP_NAME):
        info["xmp"] = content[len(_XMP_NAME) :]


def _end_of_data(file: BinaryIO, end: int | None) -> tuple[int, int]:
    """Where the data ends, ``end`` or the file's, and the number of the last restart in it.

    Half a marker is no data, nor are bytes that may stand before one.
    """
    end = size_of(file) if end is None else end
    start = file.seek(max(0, end - _TAIL))
    data = file.read(end - start)
    if data.endswith(bytes(ZEROS)):
        data = data.rstrip(b"\0")
    data = data.rstrip(b"\xff")
    found = _RESTART.findall(data)
    return start + len(data), found[-1][1] - RESTARTS[0] if found else len(RESTARTS) - 1


def _has_all_scans(file: BinaryIO, frame: Frame, scans: list[int]) -> bool:
    """Whether these bring each coefficient of each component down to its last bit."""
    missing = {number: [True] * 64 for number, _, _ in frame.components}
    for place in scans:
        file.seek(place + 4)
        count = int.from_bytes(file.read(1), "big")
        if count > _MOST_COMPONENTS:
            return False
        content = file.read(2 * count + 3)
        if len(content) < 2 * count + 3:
            return False
        first, last, bits = content[-3:]
        for component in content[: 2 * count : 2]:
            for at in range(first, min(last, 63) + 1):
                missing.get(component, [True] * 64)[at] = bool(bits & 15)
    return not any(map(any, missing.values()))


def _continuations(restart: int) -> Iterator[bytes]:
    """What might have followed, if it wasn't the end; ``restart`` is the last one's number."""
    yield _END
    for more in (_ONES, *_NOISE):
        yield more + _END
    order = [(restart + 1 + i) % len(RESTARTS) for i in range(len(RESTARTS))]
    yield b"".join(bytes([0xFF, RESTARTS[i]]) + _NOISE[0] for i in order) + _END


class _Check:
    """Whether the pixels are the same whatever follows: then none is missing.

    libjpeg fills up what is missing, and doesn't tell; only decoding does.
    """

    def __init__(
        self, reader: Reader, parts: list[Part], ends: list[bytes], max_pixels: int
    ) -> None:
        self._reader, self._parts, self._ends = reader, parts, ends
        self._max_pixels = max_pixels

    def is_whole(self) -> bool:
        """Small first, which is cheap and mostly tells; then as large as may be."""
        if not self.is_same(_COARSEST):
            return False
        finest = self._finest()
        return finest == _COARSEST or self.is_same(finest)

    def is_same(self, scale: int) -> bool:
        """Whether they are, of the picture at one of so many pixels a side."""
        first, *others = self._ends
        try:
            digest = self._digest(first, scale)
            return all(self._digest(end, scale) == digest for end in others)
        except Warning:
            raise
        except Exception:  # Pillow's, for what can't be decoded whatever follows
            return False

    def _finest(self) -> int:
        for scale in (1, 2, 4):
            _, need = self._opened(self._ends[0], scale)
            with suppress(ImageError):
                check(need, self._max_pixels)
                return scale
        return _COARSEST

    def _digest(self, end: bytes, scale: int) -> bytes:
        image, need = self._opened(end, scale)
        with reserved(need, self._max_pixels):
            image.load()
            digest = hashlib.sha256()
            for top in range(0, image.height, 64):
                strip = image.crop((0, top, image.width, min(top + 64, image.height)))
                digest.update(strip.tobytes())
            del image
        return digest.digest()

    def _opened(self, end: bytes, scale: int) -> tuple[Image.Image, Need]:
        image = self._reader.open(spliced(self._reader.file, [*self._parts, end]))
        size = image.size
        if scale > 1:
            self._reader.reduce(image, max(1, min(size) // scale))
        return image, self._reader.need(image, size)
