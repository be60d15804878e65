"""Camera raw files that begin as a TIFF: told by their directories.

DNG, NEF, ARW, PEF, SRW, 3FR and others are TIFFs whose first picture is a thumbnail, or what the
sensor saw. Nothing is decoded, and little is read, however the file is made.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from flowers_onnx.image_formats import CAMERA_RAW, THUMBNAIL_FIRST

_SUBFILE_TYPE, _WIDTH, _LENGTH, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 259, 262
_SUB_DIRECTORIES, _DNG_VERSION, _LEAF_DATA = 330, 50706, 34310

_REDUCED = 1  # a bit of the subfile type
#: Colours of a sensor: behind a filter of many colours, or linear.
_SENSOR_COLOURS: Final = frozenset({32803, 34892})
#: Of Sony, Epson, Samsung, Nikon, Kodak and Pentax; nobody else writes them.
_SENSOR_COMPRESSIONS: Final = frozenset({32767, 32769, 32770, 32772, 34713, 65000, 65535})

#: More than a file has; those behind the first are a document's pages, if they are many.
_MAX_SUB_DIRECTORIES, _MAX_FOLLOWING, _MAX_ENTRIES = 16, 4, 1024
#: The types that a number of interest may have, from BYTE to IFD8.
_TYPES: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

#: What reading a directory raises where it ends, or points, where it can't.
_BROKEN = (struct.error, OverflowError, OSError)


def kind_of_tiff(file: BinaryIO) -> str | None:
    """``TIFF``, a kind that isn't read, or None for what has only the first bytes of a TIFF.

    ``file`` is seekable and is left at its start.
    """
    try:
        return _kind(file)
    except _BROKEN:
        return None
    finally:
        file.seek(0)


class _Directory(NamedTuple):
    """What is wanted of one picture: the numbers of each tag, and where the next one is."""

    tags: dict[int, tuple[int, ...]]
    following: int

    @property
    def area(self) -> int:
        return self.number(_WIDTH) * self.number(_LENGTH)

    @property
    def is_reduced(self) -> bool:
        return bool(self.number(_SUBFILE_TYPE) & _REDUCED)

    @property
    def is_of_a_sensor(self) -> bool:
        return (
            self.number(_PHOTOMETRIC) in _SENSOR_COLOURS
            or self.number(_COMPRESSION) in _SENSOR_COMPRESSIONS
        )

    def number(self, tag: int) -> int:
        return next(iter(self.tags.get(tag, ())), 0)


class _Reader:
    """Directories of a TIFF or a BigTIFF of either byte order."""

    _WANTED = frozenset(
        {_SUBFILE_TYPE, _WIDTH, _LENGTH, _COMPRESSION, _PHOTOMETRIC}
        | {_SUB_DIRECTORIES, _DNG_VERSION, _LEAF_DATA}
    )

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        header = file.read(16)
        self._file = file
        self._order = "<" if header[:2] == b"II" else ">"
        self._big = self._number("H", header[2:4]) == 43
        #: Of a count of entries, of an entry, and of an offset.
        self._forms = ("Q", "HHQ8s", "Q") if self._big else ("H", "HHI4s", "I")
        self.first = self._number("Q", header[8:16]) if self._big else self._number("I", header[4:])

    def directory(self, offset: int) -> _Directory:
        """The directory at ``offset``; raises ``struct.error`` where there is none."""
        counting, entry, pointer = (self._order + form for form in self._forms)
        self._file.seek(offset)
        (count,) = struct.unpack(counting, self._file.read(struct.calcsize(counting)))
        if not 0 < count <= _MAX_ENTRIES:
            raise struct.error("no directory")
        size = struct.calcsize(entry)
        data = self._file.read(count * size + struct.calcsize(pointer))
        whole = min(count, len(data) // size) * size
        entries = struct.iter_unpack(entry, data[:whole])
        tags = {
            tag: self._values(kind, number, value)
            for tag, kind, number, value in entries
            if tag in self._WANTED
        }
        behind = data[count * size :]
        cut = len(behind) < struct.calcsize(pointer)
        return _Directory(tags, 0 if cut else self._number(self._forms[2], behind))

    def _values(self, kind: int, count: int, value: bytes) -> tuple[int, ...]:
        if kind not in _TYPES:
            return ()
        form, count = _TYPES[kind], min(count, _MAX_SUB_DIRECTORIES)
        size = count * struct.calcsize(form)
        if size > len(value):
            self._file.seek(self._number(self._forms[2], value))
            value = self._file.read(size)
        return struct.unpack(f"{self._order}{count}{form}", value[:size])

    def _number(self, form: str, data: bytes) -> int:
        form = self._order + form
        number: int
        (number,) = struct.unpack(form, data[: struct.calcsize(form)])
        return number


def _kind(file: BinaryIO) -> str | None:
    reader = _Reader(file)
    first = reader.directory(reader.first)
    if {_DNG_VERSION, _LEAF_DATA} & first.tags.keys() or first.is_of_a_sensor:
        return CAMERA_RAW
    for inner in _readable(reader, first.tags.get(_SUB_DIRECTORIES, ())):
        # Pyramids and previews are smaller than what they are of; what a thumbnail is of, larger.
        if inner.is_of_a_sensor or inner.area > first.area:
            return CAMERA_RAW
    for other in _following(reader, first):
        if other.is_of_a_sensor:
            return CAMERA_RAW
        if first.is_reduced and other.area > first.area:
            return THUMBNAIL_FIRST
    return "TIFF" if first.area else None


def _readable(reader: _Reader, offsets: Iterable[int]) -> Iterator[_Directory]:
    for offset in offsets:
        with contextlib.suppress(*_BROKEN):
            yield reader.directory(offset)


def _following(reader: _Reader, first: _Directory) -> Iterator[_Directory]:
    directory = first
    for _ in range(_MAX_FOLLOWING):
        if not directory.following:
            return
        try:
            directory = reader.directory(directory.following)
        except _BROKEN:
            return
        yield directory
