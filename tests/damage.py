"""Image files taken apart and put together again: harmlessly, with pixels missing, or anyhow."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from support import SAMPLE

Edit = Callable[[bytes, random.Random], bytes]


class Picture(NamedTuple):
    """A good file, and how it may be edited."""

    data: bytes
    #: None of these touches the pixels, nor what they mean.
    harmless: tuple[Edit, ...]
    #: Takes away a good part of the pixels.
    cut: Edit


@functools.cache
def pictures() -> dict[str, Picture]:
    """One of each kind, small, by name."""
    with Image.open(SAMPLE) as opened:
        photo = opened.convert("RGB").resize((64, 48))
    grey, wide = (
        photo.convert("L"),
        Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257),
    )
    clear = photo.convert("RGBA")
    clear.putalpha(grey)
    indexed = photo.quantize(64)
    found: dict[str, Picture] = {}

    def add(name: str, image: Image.Image, format: str, **options: object) -> None:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        found[name] = Picture(buffer.getvalue(), *_EDITS[format])

    add("jpeg", photo, "JPEG", quality=90)
    add("jpeg progressive", photo, "JPEG", progressive=True)
    add("jpeg restarts", photo, "JPEG", restart_marker_blocks=3)
    add("jpeg grey", grey, "JPEG")
    add("jpeg cmyk", photo.convert("CMYK"), "JPEG")
    add("jpeg of two", photo, "MPO", save_all=True, append_images=[grey.convert("RGB")])
    png = {"1": grey.convert("1"), "L": grey, "LA": clear.convert("LA"), "P": indexed, "RGB": photo}
    for mode, image in {**png, "RGBA": clear, "I;16": wide}.items():
        add(f"png {mode}", image, "PNG")
    add("png tRNS", indexed, "PNG", transparency=bytes(range(0, 256, 4)))
    rgb = np.asarray(photo)
    for name, depth, passes in (("png RGB16", 16, ((0, 0, 1, 1),)), ("png interlaced", 8, _ADAM7)):
        samples = rgb.astype(">u2") * 257 if depth == 16 else rgb
        found[name] = Picture(_png_of(samples, depth, passes), *_EDITS["PNG"])
    add("gif", indexed, "GIF")
    add("gif clear", indexed, "GIF", transparency=3)
    add("gif film", indexed, "GIF", save_all=True, append_images=[grey.quantize(16)])
    add("webp", photo, "WEBP")
    add("webp lossless", clear, "WEBP", lossless=True)
    add("webp film", photo, "WEBP", save_all=True, append_images=[grey.convert("RGB")])
    for mode, image in {"1": grey.convert("1"), "L": grey, "P": indexed, "RGB": photo,
                        "RGBA": clear}.items():  # fmt: skip
        add(f"bmp {mode}", image, "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(f"tiff {compression}", photo, "TIFF", compression=compression)
    add("tiff grey16", wide, "TIFF")
    add("tiff cmyk", photo.convert("CMYK"), "TIFF")
    big = io.BytesIO()
    photo.save(big, "TIFF", big_tiff=True)
    found["tiff big"] = Picture(big.getvalue(), (_trailing,), _tail_cut)
    add("avif", photo, "AVIF")
    return found


#: The ways of ``edited``.
WAYS = ("harmless", "cut", "anyhow")


def edited(name: str) -> bytes:
    """The file called ``WAY:KIND:NUMBER``, the same one for each name."""
    way, kind, _ = name.split(":")
    picture, rng = pictures()[kind], random.Random(name)
    if way == "cut":
        return picture.cut(picture.data, rng)
    if way == "anyhow":
        return _anyhow(picture.data, rng)
    data = picture.data
    # Those that take the file apart before those that leave a rest.
    count = min(rng.randint(1, 2), len(picture.harmless))
    for place in sorted(rng.sample(range(len(picture.harmless)), count)):
        data = picture.harmless[place](data, rng)
    return data


def same(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    """But for rounding: a profile that is of no use may change the order of two steps."""
    return bool((np.abs(one.astype(np.int16) - other) <= 2).all())


def _anyhow(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, repeated, taken out or put in, anywhere."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(changed) + 1)
        # Headers are short, and matter most; the first numbers are sizes and places.
        at = rng.choice((at, at, min(at, 600), min(at, 600), rng.choice((4, 8, 12, 16))))
        length = rng.choice((1, 1, 1, 2, 4, 8, 30))
        match rng.randrange(6):
            case 0 | 1:
                changed[at : at + length] = rng.randbytes(length)
            case 2:
                changed[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f")) * length
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = rng.randbytes(length)
            case 5:
                changed[at:at] = changed[at : at + length * 10]
    if rng.random() < 0.2:
        del changed[rng.randrange(len(changed) + 1) :]
    return bytes(changed)


def _rubbish(rng: random.Random) -> bytes:
    return rng.choice((b"", b"\0", b"\xff\xd9", b"\xff\xd8\xff", b"PK\3\4")) + rng.randbytes(
        rng.choice((0, 1, 7, 200, 3000))
    )


def _trailing(data: bytes, rng: random.Random) -> bytes:
    return data + _rubbish(rng)


def _ending(*lengths: int) -> Edit:
    """Something behind the end, or the end's own bytes missing."""

    def edit(data: bytes, rng: random.Random) -> bytes:
        return data[: -rng.choice(lengths)] if rng.random() < 0.5 else _trailing(data, rng)

    return edit


# JPEG: segments up to the first scan; whatever is behind it stays as it is.


def _segments(data: bytes) -> tuple[list[bytes], bytes]:
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append(data[at:end])
        at = end
    return found, data[at:]


def _jpeg(segments: list[bytes], rest: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + rest


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def _jpeg_insert(data: bytes, rng: random.Random) -> bytes:
    """Segments that no decoder needs: whole, cut, or of no sense."""
    segments, rest = _segments(data)
    tiff = b"II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\xff\xff\0\0\xff\xff\xff\x7f"
    for _ in range(rng.randint(1, 4)):
        marker, payload = rng.choice((
            (0xE1, b"Exif\0\0"),
            (0xE1, b"Exif\0\0" + tiff[: rng.randrange(len(tiff))]),
            (0xE1, b"Exif\0\0" + rng.randbytes(40)),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta" + rng.randbytes(90)),
            (0xE2, b"ICC_PROFILE\0"),
            (0xE2, b"ICC_PROFILE\0\x01"),
            (0xE2, b"ICC_PROFILE\0\x02\x03" + rng.randbytes(100)),
            (0xE2, b"ICC_PROFILE\0\0\0" + rng.randbytes(9)),
            (0xE2, b"MPF\0" + rng.randbytes(30)),
            (0xE2, b"MPF\0II*\0\x08\0\0\0\x03\0\0\xb0\x07\0\x04\0\0\x000100\x01\xb0\x04\0"),
            (0xE2, b"MPF\0"),
            (0xE0, b"JFXX\0\x10" + rng.randbytes(20)),
            (0xE0, b"JFIF\0"),
            (0xED, b"Photoshop 3.0\0"),
            (0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff"),
            (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x02\0\0"),
            (0xFE, rng.randbytes(rng.choice((0, 5, 20_000)))),
            (rng.randint(0xE3, 0xEC), rng.randbytes(rng.choice((0, 1, 60_000)))),
            (0xEF, b""),
        ))  # fmt: skip
        segments.insert(rng.randint(0, len(segments)), _segment(marker, payload))
    return _jpeg(segments, rest)


def _jpeg_reorder(data: bytes, rng: random.Random) -> bytes:
    """Tables before the frame, in any order; comments anywhere; some of them twice."""
    segments, rest = _segments(data)
    frame = next(one for one in segments if one[1] in (0xC0, 0xC1, 0xC2))
    others = [one for one in segments if one is not frame]
    others += rng.choices([one for one in others if one[1] in (0xDB, 0xC4)], k=rng.randint(0, 2))
    rng.shuffle(others)
    place = rng.randint(0, len(others))
    return _jpeg([*others[:place], frame, *others[place:]], rest)


def _jpeg_fill(data: bytes, rng: random.Random) -> bytes:
    """Bytes of 0xff before markers."""
    segments, rest = _segments(data)
    filled = [b"\xff" * rng.choice((0, 1, 2, 50)) + one for one in segments]
    return _jpeg(filled, b"\xff" * rng.randint(0, 3) + rest)


def _jpeg_cut(data: bytes, rng: random.Random) -> bytes:
    """A broken download: the file ends, or goes on with what a disk has there."""
    _, rest = _segments(data)
    end = data.index(b"\xff\xd9", len(data) - len(rest))  # of the first picture
    missing = int((end - len(data) + len(rest)) * rng.uniform(0.3, 0.98))
    return data[: end - missing] + rng.choice((b"", bytes(missing), b"\xff" * missing))


# PNG: chunks.


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _chunk(kind: bytes, payload: bytes, wrong: int = 0) -> bytes:
    crc = zlib.crc32(kind + payload) ^ wrong
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", crc)


#: First column and row, and the steps between them.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def _png_of(
    samples: npt.NDArray[Any], depth: int, passes: tuple[tuple[int, int, int, int], ...]
) -> bytes:
    """Of RGB in a way that Pillow doesn't write."""
    height, width, _ = samples.shape
    rows = b"".join(
        b"\0" + row.tobytes()
        for x, y, across, down in passes
        for row in samples[y::down, x::across]
    )
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, len(passes) > 1)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _png([_chunk(*part) for part in parts])


def _png(chunks: list[bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _png_insert(data: bytes, rng: random.Random) -> bytes:
    """Ancillary chunks, of sense or not, some of them with a wrong CRC."""
    chunks = [_chunk(*one) for one in _chunks(data)]
    packed = zlib.compress(bytes(rng.choice((10, 2_000_000))))
    for _ in range(rng.randint(1, 4)):
        kind, payload = rng.choice((
            (b"tEXt", b"Comment\0" + rng.randbytes(30)),
            (b"tEXt", rng.randbytes(rng.choice((0, 1, 100_000)))),
            (b"zTXt", b"Comment\0\0" + packed),
            (b"zTXt", b"Comment\0\0" + packed[:-5]),
            (b"zTXt", b"Comment\0\x07" + rng.randbytes(20)),
            (b"zTXt", b"Raw profile type exif\0\0" + packed),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0"),
            (b"iTXt", b"a\0\0\0\xff\xfe\0" + rng.randbytes(9)),
            (b"iCCP", b"icc\0\0" + packed),
            (b"iCCP", b"icc\0\0" + rng.randbytes(30)),
            (b"iCCP", b"icc"),
            (b"eXIf", rng.randbytes(rng.choice((0, 3, 60)))),
            (b"pHYs", rng.randbytes(rng.choice((0, 5, 9)))),
            (b"tIME", rng.randbytes(rng.choice((3, 7)))),
            (b"gAMA", rng.randbytes(rng.choice((0, 3)))),
            (b"sRGB", b""),
            (b"cHRM", rng.randbytes(rng.choice((7, 31)))),
            (b"sBIT", b""),
            (b"hIST", rng.randbytes(6)),
            (b"sPLT", rng.randbytes(20)),
            (b"vpAg", rng.randbytes(9)),
            (b"caBX", rng.randbytes(5000)),
        ))  # fmt: skip
        wrong = rng.choice((0, 0, 1, 0xFFFFFFFF))
        # Not between the palette and what belongs to it, nor between the parts of the pixels.
        place = rng.choice((1, len(chunks) - 1))
        chunks.insert(place, _chunk(kind, payload, wrong))
    return _png(chunks)


def _png_split(data: bytes, rng: random.Random) -> bytes:
    """The pixels in many chunks, some of them empty."""
    parts = []
    for kind, payload in _chunks(data):
        if kind != b"IDAT":
            parts.append(_chunk(kind, payload))
            continue
        at = 0
        while at < len(payload):
            end = at + rng.choice((0, 1, 13, 500))
            parts.append(_chunk(kind, payload[at:end]))
            at = end
    return _png(parts)


def _png_cut(data: bytes, rng: random.Random) -> bytes:
    """In the middle of the pixels, in a file that ends there or in one that is whole."""
    chunks = _chunks(data)
    place = next(at for at, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    payload = chunks[place][1]
    kept = payload[: int(len(payload) * rng.uniform(0.02, 0.7))]
    before = _png([_chunk(*one) for one in chunks[:place]])
    whole = _chunk(b"IDAT", kept)
    ends = (whole + _chunk(b"IEND", b""), whole, _chunk(b"IDAT", payload)[: 8 + len(kept)])
    return before + rng.choice(ends)


# GIF: extensions before and between frames.


def _gif_head(data: bytes) -> int:
    return 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)


def _gif_insert(data: bytes, rng: random.Random) -> bytes:
    def block(label: int, payload: bytes) -> bytes:
        parts = [payload[at : at + 255] for at in range(0, len(payload), 255)]
        return bytes((0x21, label)) + b"".join(bytes((len(p),)) + p for p in parts) + b"\0"

    extension = rng.choice((
        block(0xFE, rng.randbytes(rng.choice((0, 3, 5000)))),
        block(0xFF, b"NETSCAPE2.0"),
        b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0",
        b"\x21\xff\x0bNETSCAPE2.0\x01\x01\0",
        block(0xFF, b"XMP DataXMP" + rng.randbytes(300)),
        block(0xFF, b"ICCRGBG1012" + rng.randbytes(30)),
        block(0x77, rng.randbytes(20)),
    ))  # fmt: skip
    at = _gif_head(data)
    return data[:at] + extension + data[at:]


def _gif_cut(data: bytes, rng: random.Random) -> bytes:
    """In the middle of the first frame."""
    at = data.index(b",", _gif_head(data))
    end, begin = at + 10, at + 10
    if data[at + 9] & 0x80:
        begin = end = end + (3 << (data[at + 9] & 7) + 1)
    end += 1
    while data[end]:
        end += data[end] + 1
    return data[: begin + 2 + int((end - begin) * rng.uniform(0.02, 0.7))]


# WebP: chunks of RIFF.


def _riff(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def _webp(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2)
        for kind, part in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _webp_insert(data: bytes, rng: random.Random) -> bytes:
    """Metadata behind the pixels, with or without the header that announces it."""
    chunks = _riff(data)
    payload = rng.randbytes(rng.choice((0, 1, 40, 5000)))
    if chunks[0][0] == b"VP8X":
        flags = chunks[0][1][0] | rng.choice((0, 0x08, 0x04, 0x0C))
        chunks[0] = (b"VP8X", bytes((flags,)) + chunks[0][1][1:])
    elif chunks[0][0] == b"VP8 ":
        size = struct.pack("<I", 63)[:3] + struct.pack("<I", 47)[:3]
        flags = rng.choice((0, 0x08, 0x04, 0x2C))
        chunks.insert(0, (b"VP8X", bytes((flags, 0, 0, 0)) + size))
        if flags & 0x20:
            chunks.insert(1, (b"ICCP", payload))
    chunks.append((rng.choice((b"EXIF", b"XMP ", b"abcd", b"C2PA")), payload))
    return _webp(chunks)


def _riff_cut(data: bytes, rng: random.Random) -> bytes:
    # A film's first frame is its first half at most.
    return data[: 30 + int((len(data) - 30) * rng.uniform(0.02, 0.35))]


# BMP: a header of numbers that say what is there anyway.


def _bmp_numbers(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    # The file's size, two of nothing, the picture's size, dots a meter; colours that matter.
    for at in rng.sample((2, 6, 34, 38, 42, 50), rng.randint(1, 4)):
        changed[at : at + 4] = rng.choice((bytes(4), b"\xff" * 4, rng.randbytes(4)))
    return bytes(changed)


def _bmp_gap(data: bytes, rng: random.Random) -> bytes:
    """Something between the header, or the palette, and the pixels."""
    (start,) = struct.unpack_from("<I", data, 10)
    gap = rng.randbytes(rng.choice((1, 4, 99)))
    return data[:10] + struct.pack("<I", start + len(gap)) + data[14:start] + gap + data[start:]


def _tail_cut(data: bytes, rng: random.Random) -> bytes:
    return data[: 60 + int((len(data) - 60) * rng.uniform(0.02, 0.7))]


# TIFF: entries of the first directory.


def _entries(data: bytes) -> tuple[int, list[bytes], bytes]:
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    return at, entries, data[at + 2 + 12 * count : at + 6 + 12 * count]


def _tiff(data: bytes, entries: list[bytes], following: bytes) -> bytes:
    """The directory anew, at the end."""
    data += b"\0" * (len(data) % 2)
    head = data[:4] + struct.pack("<I", len(data)) + data[8:]
    return head + struct.pack("<H", len(entries)) + b"".join(entries) + following


def _tiff_insert(data: bytes, rng: random.Random) -> bytes:
    """Tags that say nothing of the pixels, whose values are elsewhere, nowhere or of no type."""
    _, entries, following = _entries(data)
    for _ in range(rng.randint(1, 4)):
        tag = rng.choice((270, 271, 305, 306, 315, 33432, 34377, 34665, 34675, 34853, 37724, 42112,
                          50000, 65000, 700))  # fmt: skip
        kind = rng.choice((0, 1, 2, 3, 4, 5, 7, 12, 13, 99))
        count = rng.choice((0, 1, 4, 5000, 0xFFFFFFFF))
        value = rng.choice((0, 8, len(data) - 1, len(data) + 9, 0xFFFFFFFF))
        entries.append(struct.pack("<HHII", tag, kind, count, value))
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    return _tiff(data, entries, following)


def _tiff_following(data: bytes, rng: random.Random) -> bytes:
    """A next page that is nowhere, or the first again."""
    at, entries, _ = _entries(data)
    return _tiff(data, entries, struct.pack("<I", rng.choice((at, 3, len(data) + 99, 0xFFFFFFFF))))


def _tiff_cut(data: bytes, rng: random.Random) -> bytes:
    """Where the directory is first in the file, its pixels are not."""
    at, entries, following = _entries(data)
    found = {int.from_bytes(one[:2], "little"): one for one in entries}
    offset = found[273]
    if int.from_bytes(offset[4:8], "little") > 1:
        begin = 8
    else:
        begin = int.from_bytes(offset[8:12], "little")
    kept = begin + int((len(data) - begin) * rng.uniform(0.02, 0.4))
    if at + 6 + 12 * len(entries) < kept:
        return data[:kept]
    # The directory is behind the pixels: point them past the end instead.
    far = struct.pack("<I", len(data) - rng.randint(0, 8))
    entries = [one[:8] + far if one is offset and begin != 8 else one for one in entries]
    return _tiff(data, entries, following) if begin != 8 else data[: at // 2]


# AVIF: boxes.


def _avif_boxes(data: bytes, rng: random.Random) -> bytes:
    """Boxes behind the pixels that mean nothing; offsets count from the file's start."""
    boxes = b""
    for _ in range(rng.randint(1, 3)):
        payload = rng.randbytes(rng.choice((0, 9, 3000)))
        kind = rng.choice((b"free", b"skip", b"uuid", b"abcd"))
        payload = payload.ljust(16, b"\0") if kind == b"uuid" else payload
        boxes += struct.pack(">I", len(payload) + 8) + kind + payload
    return data + boxes


_EDITS: dict[str, tuple[tuple[Edit, ...], Edit]] = {
    "JPEG": ((_jpeg_insert, _jpeg_reorder, _jpeg_fill, _ending(1, 2)), _jpeg_cut),
    "MPO": ((_jpeg_insert, _jpeg_fill, _ending(1, 2)), _jpeg_cut),
    "PNG": ((_png_insert, _png_split, _ending(*range(1, 13))), _png_cut),
    "GIF": ((_gif_insert, _ending(1)), _gif_cut),
    "WEBP": ((_webp_insert, _trailing), _riff_cut),
    "BMP": ((_bmp_numbers, _bmp_gap, _trailing), _tail_cut),
    "TIFF": ((_tiff_insert, _tiff_following, _trailing), _tiff_cut),
    "AVIF": ((_avif_boxes, _trailing), _tail_cut),
}
