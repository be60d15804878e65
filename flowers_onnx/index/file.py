"""The form of an index: a header and four tables, one behind the other, all little-endian.

==========  ===================  ===============================================================
header      4096 bytes           a line of JSON, padded with spaces; ``head -1`` shows it
rows        ``ROW`` ``[N]``      what a search needs of each photo
sketches    int8 ``[N, 256]``    the features, folded to a fifth: the first look at all photos
features    int8 ``[N, C]``      the features, of which only the direction counts
records     text                 a line of JSON for each photo, read when it is shown
==========  ===================  ===============================================================

It is mapped into memory, so that opening reads the rows and a search the sketches. The header has
checksums of the rows, which are checked when the file is opened, and of the sketches, when they are
used first. A row has one of its vectors, checked when they are compared, and one of its record,
when it is shown. So an answer rests on what was written; who copies all of it checks all of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import os
import shlex
import stat
import zlib
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from flowers_onnx.errors import UsageError, from_os_error
from flowers_onnx.index.maker import Maker
from flowers_onnx.index.photo import Row, row_of
from flowers_onnx.index.places import journal_of
from flowers_onnx.record import ClassId

VERSION = 1
SKETCH = 256
_NAME = "flowers_index"
_HEADER = 4096
#: Far above any network's; keeps a hostile number from filling the memory.
_MOST_CHANNELS = 1 << 16

#: ``end`` is where the record ends, from the first one on. ``record`` is its checksum, ``vectors``
#: that of sketch and features; ``place`` and ``uri`` are those of these, to find a photo by.
#: ``class`` is the same for photos of one class. The scales make cosines of products of whole
#: numbers.
ROW = np.dtype(
    [
        ("end", "<u8"),
        ("record", "<u4"),
        ("vectors", "<u4"),
        ("place", "<u4"),
        ("uri", "<u4"),
        ("class", "<i4"),
        ("confidence", "<f4"),
        ("scale", "<f4"),
        ("sketch_scale", "<f4"),
        ("known", "i1"),
        ("spare", "V7"),
    ]
)

Vector = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tables:
    """What is in a file, which stays mapped for as long as any of it is in use."""

    path: str
    maker: Maker
    rows: npt.NDArray[Any]
    sketches: Vector
    sketches_check: int
    features: Vector
    records: memoryview

    def row(self, number: int) -> Row:
        """The row of a photo; raises ``UsageError`` where the file is damaged."""
        record = self.record(number)
        try:
            return row_of(json.loads(record))
        except (LookupError, TypeError, ValueError, RecursionError):
            _refuse(self.path, "is damaged")

    def record(self, number: int) -> bytes:
        """The line of a row, if it is as it was written; raises the same."""
        begin = int(self.rows["end"][number - 1]) if number else 0
        record = bytes(self.records[begin : int(self.rows["end"][number])])
        if zlib.crc32(record) != self.rows["record"][number]:
            _refuse(self.path, "is damaged")
        return record

    def check_vectors(self, numbers: npt.NDArray[np.intp]) -> None:
        """Raise the same if sketch or features of one of them aren't as they were written."""
        expected = self.rows["vectors"][numbers].tolist()
        for number, check in zip(numbers.tolist(), expected, strict=True):
            if checksum(self.sketches[number], self.features[number]) != check:
                _refuse(self.path, "is damaged")

    def check_sketches(self) -> None:
        """Raise the same if one of all sketches isn't as it was written."""
        if zlib.crc32(self.sketches.data) != self.sketches_check:
            _refuse(self.path, "is damaged")

    def class_ids(self) -> dict[int, ClassId]:
        """By their numbers in the rows; raises the same."""
        numbers, first = np.unique(self.rows["class"], return_index=True)
        rows = map(self.row, first.tolist())
        return {number: row.class_id for number, row in zip(numbers.tolist(), rows, strict=True)}


def quantised(features: Floats) -> Vector:
    """The direction of features ``[C]``, in whole numbers from -127 to 127."""
    most = float(np.abs(features).max(initial=0))
    if not most:
        return np.zeros(features.shape, np.int8)
    return np.round(features * np.float32(127 / most)).astype(np.int8)


def folded(features: Floats) -> Floats:
    """Features ``[..., C]`` as sketches ``[..., 256]``: sums of every 256th with a random sign.

    Products of sketches are about those of the features (Charikar, Chen and Farach-Colton 2002).
    """
    channels = features.shape[-1]
    parts = -(-channels // SKETCH)
    padded = np.zeros((*features.shape[:-1], parts * SKETCH), np.float32)
    padded[..., :channels] = features * _signs(channels)
    sums: Floats = padded.reshape(*features.shape[:-1], parts, SKETCH).sum(axis=-2)
    return sums


@functools.cache
def _signs(channels: int) -> Floats:
    """As random as can be, and the same for ever."""
    bits = hashlib.shake_256(b"flowers-onnx index").digest(-(-channels // 8))
    return np.unpackbits(np.frombuffer(bits, np.uint8))[:channels].astype(np.float32) * 2 - 1


def read(path: str) -> Tables:
    """Map a file into memory; raises ``UsageError`` for what is no index, or damaged."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path} is not a file, and can't be an index")
            header = _header(path, file.read(_HEADER))
            if found.st_size != header["bytes"]:
                _refuse(path, f"has {found.st_size:,} bytes of {header['bytes']:,}")
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise UsageError(f"there is no index {path}{_how_to_make(path)}") from error
    except OSError as error:
        raise UsageError(f"can't read the index {path}: {from_os_error(error)}") from error
    count, channels = header["photos"], header["channels"]
    rows_at, sketches_at, features_at, records_at = layout(count, channels)
    rows = np.frombuffer(content, ROW, count, rows_at)
    if zlib.crc32(rows.tobytes()) != header["rows"]:
        _refuse(path, "is damaged")
    return Tables(
        path,
        Maker(header["model"], header["network"]),
        rows,
        np.frombuffer(content, np.int8, count * SKETCH, sketches_at).reshape(count, SKETCH),
        header["sketches"],
        np.frombuffer(content, np.int8, count * channels, features_at).reshape(count, channels),
        content[records_at:],
    )


def _how_to_make(path: str) -> str:
    command = f"flowers similar --index {shlex.quote(path)} --add FOLDER"
    if os.path.exists(journal := journal_of(path)):
        return f" yet, but {journal} has photos for it: {command} goes on where it stopped"
    return f": make it with {command}"


def layout(count: int, channels: int) -> tuple[int, int, int, int]:
    """Where in the file rows, sketches, features and records begin."""
    sketches = _HEADER + count * ROW.itemsize
    features = sketches + count * SKETCH
    return _HEADER, sketches, features, features + count * channels


def header_line(
    maker: Maker, count: int, channels: int, size: int, checks: tuple[int, int]
) -> bytes:
    """The header of a file of ``size`` bytes; ``checks`` are those of rows and sketches."""
    line = _dumped(
        {
            _NAME: VERSION,
            "model": maker.id,
            "network": maker.network,
            "photos": count,
            "channels": channels,
            "bytes": size,
            "rows": checks[0],
            "sketches": checks[1],
        }
    )
    if len(line) >= _HEADER:
        raise UsageError(f"the model's id is too long for an index: {maker.id[:40]}...")
    return line.ljust(_HEADER - 1) + b"\n"


def _header(path: str, line: bytes) -> dict[str, Any]:
    """The header, if all of it is as ``header_line`` makes it."""
    if not line.startswith(f'{{"{_NAME}": '.encode()):
        _refuse(path, "is not an index of flowers similar")
    version = line.partition(b": ")[2].partition(b",")[0]
    if version != str(VERSION).encode():
        if version.isdigit() and len(version) < 10:
            _refuse(path, f"is an index of version {int(version)}, this program reads {VERSION}")
        _refuse(path, "is damaged")
    try:
        header = json.loads(line)
        names = ("photos", "channels", "bytes", "rows", "sketches")
        photos, channels, size, *checks = whole = [header[name] for name in names]
        sound = (
            all(type(number) is int for number in whole)
            and 0 < channels <= _MOST_CHANNELS
            and photos > 0
            and layout(photos, channels)[-1] < size
            and line
            == header_line(
                Maker(header["model"], header["network"]), photos, channels, size, (*checks,)
            )
        )
    except (LookupError, TypeError, ValueError, RecursionError, UsageError):
        sound = False
    if not sound:
        _refuse(path, "is cut off" if len(line) < _HEADER else "is damaged")
    return dict(header)


def _dumped(header: dict[str, Any]) -> bytes:
    """With the checksum of all else at its end."""
    check = zlib.crc32(json.dumps(header, allow_nan=False).encode())
    return json.dumps({**header, "check": check}, allow_nan=False).encode()


def checksum(sketch: Vector, features: Vector) -> int:
    """Of the vectors of one photo."""
    return zlib.crc32(features.data, zlib.crc32(sketch.data))


def _refuse(path: str, reason: str) -> NoReturn:
    raise UsageError(
        f"{path} {reason}; it won't be overwritten: "
        "make another with flowers similar --index NEW --add FOLDER"
    )
