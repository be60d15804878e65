"""When and where a photo was taken, as its EXIF says.

Of a file's EXIF only three directories are looked at, and little of these is read, however it is
made: Pillow would keep whatever the entries point at, as often as they do. What is broken tells
nothing, and is no error.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from itertools import islice
from typing import Final, NamedTuple

from flowers_onnx.image_formats import HEADER_SIZE, sniff
from flowers_onnx.tiff_directory import BROKEN, Entry, TiffReader


class Taken(NamedTuple):
    """``taken_at`` is local time, as ``2024-05-17T14:03:22``, with its offset if that is known.

    ``latitude`` and ``longitude`` are in degrees of WGS84, north and east positive; both or none.
    """

    taken_at: str | None = None
    latitude: float | None = None
    longitude: float | None = None


_NOTHING = Taken()
_PREFIX: Final = b"Exif\0\0"
_APP1: Final = 0xE1
#: More than a file has of them.
_MOST_CHUNKS: Final = 100_000

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
#: When it was taken, or else digitized, each with its offset.
_TIMES: Final = ((0x9003, 0x9011), (0x9004, 0x9012))
_LATITUDE, _LONGITUDE, _DATUM = (1, 2), (3, 4), 18

#: Bytes of a text that mean something.
_MOST_TEXT: Final = 64
_TIME: Final = re.compile(
    r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,]\d*)?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
#: The year of the oldest photo there is.
_FIRST_YEAR: Final = 1826
#: As little from WGS84 as a phone's own error.
_SAME_DATUMS: Final = ("WGS", "WORLDGEODETIC", "ETRS", "GDA", "JGD2", "NAD83", "EPSG4326")

#: How numbers of each type are unpacked; two of them make a rational.
_NUMBERS: Final = {3: "H", 4: "I", 5: "II", 10: "ii", 11: "f", 12: "d"}


def taken(content: bytes) -> Taken:
    """What the EXIF of a file says, whether it is a sound image or not; never an error."""
    try:
        blob = _exif_in(content)
        return _taken(TiffReader(io.BytesIO(blob))) if blob else _NOTHING
    except Exception:  # of whatever library; it is no reason to lose the photo
        return _NOTHING


def _exif_in(content: bytes) -> bytes | None:
    """A TIFF, of whose pictures only the directories matter here."""
    file, found = io.BytesIO(content), None
    match sniff(content[:HEADER_SIZE]):
        case "TIFF":
            return content
        case "JPEG":
            found = _in_jpeg(content)
        case "PNG":
            found = _in_png(file)
        case "WEBP":
            found = _in_webp(file)
        case "AVIF" | "HEIC" as name:
            found = _in_heif(file, name)
    while found and found.startswith(_PREFIX):  # some have it where it doesn't belong, too
        found = found[len(_PREFIX) :]
    return found


def _in_jpeg(content: bytes) -> bytes:
    """What doesn't fit into one segment goes on in the next."""
    from flowers_onnx.pixels.jpeg_header import read_header

    segments = [
        content[start + 2 : end]
        for marker, start, end in read_header(io.BytesIO(content)).segments
        if marker == _APP1
    ]
    return b"".join(s.removeprefix(_PREFIX) for s in segments if s.startswith(_PREFIX))


def _in_png(file: io.BytesIO) -> bytes | None:
    from flowers_onnx.pixels import png

    text = None
    for name, start, end in islice(png.chunks(file), _MOST_CHUNKS):
        if name in png.TELLING:
            told = png.told(name, file.read(min(end - start, png.MOST)))
            if "exif" in told:
                found: bytes = told["exif"]
                return found
            text = text or told.get(png.RAW_PROFILE)
    # A name, a length, then the bytes in hexadecimal, of ImageMagick.
    return bytes.fromhex("".join(text.split("\n")[3:])) if text else None


def _in_webp(file: io.BytesIO) -> bytes | None:
    from flowers_onnx.pixels import webp

    for name, start, end in islice(webp.chunks(file), _MOST_CHUNKS):
        if name == b"EXIF":
            return file.read(end - start)
    return None


def _in_heif(file: io.BytesIO, name: str) -> bytes | None:
    from flowers_onnx.pixels import avif, heic
    from flowers_onnx.pixels.quiet import quietly

    reader = avif.FormatReader if name == "AVIF" else heic.FormatReader
    with quietly():
        found = reader(name, file).open(file).info.get("exif")
    return found if isinstance(found, bytes) else None


def _taken(reader: TiffReader) -> Taken:
    first = _entries(reader, reader.first)
    more = _entries(reader, _pointer(reader, first.get(_EXIF_DIRECTORY)))
    place = _entries(reader, _pointer(reader, first.get(_GPS_DIRECTORY)))
    # Some programs put all of it into the first directory.
    return Taken(_time(reader, first | more), *_place(reader, place))


def _entries(reader: TiffReader, offset: int | None) -> dict[int, Entry]:
    """By tag, the first of each; none where there is no directory."""
    if offset is None:
        return {}
    try:
        return {one.tag: one for one in reversed(reader.directory(offset).entries)}
    except BROKEN:
        return {}


def _pointer(reader: TiffReader, entry: Entry | None) -> int | None:
    try:
        return next(iter(reader.numbers(entry, 1)), None) if entry else None
    except BROKEN:
        return None


def _time(reader: TiffReader, entries: dict[int, Entry]) -> str | None:
    for tag, offset in _TIMES:
        match = _TIME.fullmatch(_text(reader, entries.get(tag)))
        if match is None:
            continue
        try:
            time = datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:
            continue
        if time.year >= _FIRST_YEAR:
            told = match[7] or _text(reader, entries.get(offset))
            return time.isoformat() + _offset(told)
    return None


def _offset(text: str) -> str:
    """``+02:00``, or nothing for what is none: clocks differ by 12 to 14 hours at most."""
    if text == "Z":
        return "+00:00"
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[3]) > 59 or int(match[2]) * 60 + int(match[3]) > 14 * 60:
        return ""
    sign = "+" if match[2] + match[3] == "0000" else match[1]
    return f"{sign}{match[2]}:{match[3]}"


def _text(reader: TiffReader, entry: Entry | None) -> str:
    """Up to the first null; nothing for what isn't there."""
    try:
        content = reader.content(entry, _MOST_TEXT) if entry else b""
    except BROKEN:
        return ""
    return content.partition(b"\0")[0].decode("latin-1").strip()


def _place(
    reader: TiffReader, entries: dict[int, Entry]
) -> tuple[float, float] | tuple[None, None]:
    datum = re.sub(r"[^A-Z0-9]", "", _text(reader, entries.get(_DATUM)).upper())
    latitude = _degrees(reader, entries, _LATITUDE, "NS", 90)
    longitude = _degrees(reader, entries, _LONGITUDE, "EW", 180)
    if latitude is None or longitude is None or (datum and not datum.startswith(_SAME_DATUMS)):
        return None, None
    # What devices write that don't know where they are.
    return (None, None) if latitude == longitude == 0 else (latitude, longitude)


def _degrees(
    reader: TiffReader, entries: dict[int, Entry], tags: tuple[int, int], sides: str, most: int
) -> float | None:
    """North and east positive; ``sides`` are the letters for the positive and the negative one."""
    side = _text(reader, entries.get(tags[0])).upper()[:1]
    if not side or side not in sides or tags[1] not in entries:
        return None
    try:
        parts = list(_numbers(reader, entries[tags[1]]))
    except (*BROKEN, ValueError, ZeroDivisionError):  # NaN is a value error
        return None
    if not parts or min(parts) < 0 or max(parts[1:], default=0) > 60:
        return None
    degrees = sum(part / 60**at for at, part in enumerate(parts))
    return float(degrees if side == sides[0] else -degrees) if degrees <= most else None


def _numbers(reader: TiffReader, entry: Entry) -> Iterator[Fraction]:
    """Degrees, and maybe minutes and seconds."""
    form = _NUMBERS.get(entry.type)
    if form is None or not 1 <= entry.length <= 3:
        return
    size = struct.calcsize(f"={form}")
    content = reader.content(entry, size * entry.length)
    for at in range(entry.length):
        first, *below = struct.unpack_from(reader.order + form, content, at * size)
        yield Fraction(first) / math.prod(below)
