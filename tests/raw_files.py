"""Camera raw files in miniature, and TIFFs that look like them: directories without pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence

WIDTH, LENGTH, COMPRESSION, PHOTOMETRIC = 256, 257, 259, 262
KIND, SUB_DIRECTORIES, MAKE, DNG_VERSION = 254, 330, 271, 50706
CFA, LINEAR, RGB = 32803, 34892, 2

Tags = dict[int, int | Sequence[int] | bytes]


def thumbnail(**more: int) -> Tags:
    """The first directory of most raw files."""
    return picture(160, 120) | {KIND: 1}


def picture(width: int, length: int, photometric: int = RGB, compression: int = 1) -> Tags:
    return {WIDTH: width, LENGTH: length, COMPRESSION: compression, PHOTOMETRIC: photometric}


def tiff(*chain: Tags, within: Sequence[Tags] = (), order: str = "<", big: bool = False) -> bytes:
    """A TIFF whose directories follow each other; ``within`` are those inside the first."""
    offset_form, count_form, entry_form = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    width = struct.calcsize(order + offset_form)
    directories = [{**tags} for tags in (*chain, *within)]
    if within:
        directories[0][SUB_DIRECTORIES] = [0] * len(within)
    sizes = [
        struct.calcsize(order + count_form)
        + len(tags) * struct.calcsize(order + entry_form)
        + width
        for tags in directories
    ]
    first = 16 if big else 8
    starts = [first + sum(sizes[:number]) for number in range(len(sizes) + 1)]
    if within:
        directories[0][SUB_DIRECTORIES] = starts[len(chain) : -1]
    behind, data = b"", b""
    for number, tags in enumerate(directories):
        data += struct.pack(order + count_form, len(tags))
        for tag, value in sorted(tags.items()):
            kind = {bytes: 2, int: 4, list: 18 if big else 4, tuple: 1}[type(value)]
            values = [value] if isinstance(value, int) else list(value)
            form = {1: "B", 2: "B", 4: "I", 18: "Q"}[kind]
            packed = struct.pack(f"{order}{len(values)}{form}", *values)
            if len(packed) > width:
                place = starts[-1] + len(behind)
                behind += packed
                packed = struct.pack(order + offset_form, place)
            data += struct.pack(order + entry_form, tag, kind, len(values), packed)
        following = starts[number + 1] if number + 1 < len(chain) else 0
        data += struct.pack(order + offset_form, following)
    magic = struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    return (b"II" if order == "<" else b"MM") + magic + data + behind + bytes(2000)


SENSOR = picture(6000, 4000, CFA)
DNG = tiff(thumbnail() | {DNG_VERSION: (1, 4, 0, 0)}, within=[SENSOR])
NEF = tiff(
    thumbnail() | {MAKE: b"NIKON CORPORATION\0"}, within=[picture(6000, 4000, RGB, 6), SENSOR]
)

#: One of each kind, by a name that its camera could give it.
RAW_FILES: dict[str, bytes] = {
    "dng": DNG,
    "sensor_first.dng": tiff(SENSOR),
    "linear.dng": tiff(thumbnail(), within=[picture(600, 400, LINEAR)]),
    "whole.dng": tiff(picture(600, 400) | {DNG_VERSION: (1, 7, 0, 0)}),
    "big.dng": tiff(thumbnail(), within=[SENSOR], big=True),
    "nef": NEF,
    "motorola.nef": tiff(thumbnail(), within=[SENSOR], order=">"),
    "scanned.nef": tiff(thumbnail(), within=[picture(3000, 2000)]),
    "preview_larger.srw": tiff(picture(8000, 6000, 6, 6), within=[picture(6000, 4000, CFA, 32770)]),
    "arw": tiff(picture(1616, 1080, 6, 6), within=[picture(6000, 4000, 1, 32767)]),
    "pef": tiff(picture(6000, 4000, CFA, 65535), thumbnail()),
    "behind.kdc": tiff(picture(8000, 6000), picture(6000, 4000, CFA)),
    "cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(500),
    "iiq": b"II*\0\x08\0\0\0IIII\0waR" + bytes(500),
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(500),
    "raf": b"FUJIFILMCCD-RAW 0201" + bytes(500),
    "orf": b"IIRO\x08\0\0\0" + bytes(500),
    "old.orf": b"IIRS\x08\0\0\0" + bytes(500),
    "e1.orf": b"MMOR\0\0\0\x08" + bytes(500),
    "rw2": b"IIU\0\x18\0\0\0" + bytes(500),
    "x3f": b"FOVb\0\0\x02\0" + bytes(500),
    "mrw": b"\0MRM\0\0\0\0" + bytes(500),
    "crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(500),
}
