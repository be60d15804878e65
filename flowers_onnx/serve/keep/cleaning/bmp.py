"""BMP: headers, palette, pixels, an embedded profile; gaps are emptied, what follows goes."""

from __future__ import annotations

import struct
from typing import NamedTuple

from flowers_onnx.serve.keep.cleaning import CannotCleanError
from flowers_onnx.serve.keep.cleaning.ranges import Ranges

_FILE_HEADER = 14
_OLD, _INFO, _V5 = 12, 40, 124
_HEADERS = {_OLD, _INFO, 52, 56, 64, 108, _V5}
_RAW, _RLE8, _RLE4, _BITFIELDS = range(4)
_EMBEDDED = b"DEBM"
#: Where a V5 header says where the colours are from, and where their profile is.
_SPACE, _PROFILE = _FILE_HEADER + 56, _FILE_HEADER + 112


class _Header(NamedTuple):
    """Where it ends, and what is needed to find the pixels; ``size`` is as the file has it."""

    end: int
    width: int
    height: int
    bits: int
    compression: int
    size: int
    palette: int


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture; its length in the header is right again."""
    ranges = Ranges(data)
    _keep(data, ranges)
    cleaned = bytearray(ranges.joined())
    struct.pack_into("<II", cleaned, 2, len(cleaned), 0)  # and nothing reserved
    return bytes(cleaned)


def _header(data: bytes) -> _Header:
    size = int.from_bytes(data[_FILE_HEADER : _FILE_HEADER + 4], "little")
    if size not in _HEADERS:
        raise CannotCleanError("a header of unknown size")
    end = _FILE_HEADER + size
    if size == _OLD:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return _Header(end, width, height, bits, _RAW, 0, 3 << bits if bits <= 8 else 0)
    width, height, _, bits, compression, length = struct.unpack_from("<IIHHII", data, 18)
    (colours,) = struct.unpack_from("<I", data, 46)
    if data[25] == 0xFF:  # from top to bottom
        height = 2**32 - height
    palette = 4 * (colours or 1 << bits) if bits <= 8 else 0
    return _Header(end, width, height, bits, compression, length, palette)


def _keep(data: bytes, ranges: Ranges) -> None:
    header = _header(data)
    ranges.keep(0, header.end)
    masks = 12 if header.compression == _BITFIELDS and header.end == _FILE_HEADER + _INFO else 0
    behind = header.end + masks + header.palette
    ranges.keep(header.end, min(behind, len(data)))
    start = int.from_bytes(data[10:14], "little") or behind
    if header.palette and start == header.end:  # as the reader has it
        start += header.palette
    size = ((header.width * header.bits + 31) >> 3 & ~3) * header.height
    if header.compression in (_RLE8, _RLE4):
        size = header.size
        if data[start + size - 2 : start + size] != b"\0\1":
            raise CannotCleanError("where the pixels end isn't told")
    ranges.keep(start, min(start + size, len(data)))
    if header.end == _FILE_HEADER + _V5:
        place, length = struct.unpack_from("<II", data, _PROFILE)
        if data[_SPACE : _SPACE + 4] == _EMBEDDED:
            ranges.keep(_FILE_HEADER + place, _FILE_HEADER + place + length)
        else:  # it may be the name of a file
            ranges.write(_PROFILE, bytes(8))
