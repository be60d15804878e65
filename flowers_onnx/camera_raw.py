"""Camera raw files that begin as a TIFF: told by their directories.

DNG, NEF, ARW, PEF, SRW, 3FR and others are TIFFs whose first picture is a thumbnail, or what the
sensor saw. Nothing is decoded, and little is read, however the file is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from flowers_onnx.image_formats import CAMERA_RAW, THUMBNAIL_FIRST
from flowers_onnx.tiff_directory import BROKEN, TiffReader

_SUBFILE_TYPE, _WIDTH, _LENGTH, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 259, 262
_SUB_DIRECTORIES, _DNG_VERSION, _LEAF_DATA = 330, 50706, 34310

_REDUCED = 1  # a bit of the subfile type
#: Colours of a sensor: behind a filter of many colours, or linear.
_SENSOR_COLOURS: Final = frozenset({32803, 34892})
#: Of Sony, Epson, Samsung, Nikon, Kodak and Pentax; nobody else writes them.
_SENSOR_COMPRESSIONS: Final = frozenset({32767, 32769, 32770, 32772, 34713, 65000, 65535})

#: What of a directory tells.
_WANTED: Final = frozenset(
    {_SUBFILE_TYPE, _WIDTH, _LENGTH, _COMPRESSION, _PHOTOMETRIC}
    | {_SUB_DIRECTORIES, _DNG_VERSION, _LEAF_DATA}
)
#: More than a file has; those behind the first are a document's pages, if they are many.
_MAX_SUB_DIRECTORIES, _MAX_FOLLOWING = 16, 4


def kind_of_tiff(file: BinaryIO) -> str | None:
    """``TIFF``, a kind that isn't read, or None for what has only the first bytes of a TIFF.

    ``file`` is seekable and is left at its start.
    """
    try:
        return _kind(file)
    except BROKEN:
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


class _Reader(TiffReader):
    def pictured(self, offset: int) -> _Directory:
        """What is wanted of the directory at ``offset``; raises ``struct.error`` for none."""
        entries, following, _ = self.directory(offset)
        wanted = {one.tag: one for one in reversed(entries) if one.tag in _WANTED}
        return _Directory(
            {tag: self.numbers(one, _MAX_SUB_DIRECTORIES) for tag, one in wanted.items()},
            following,
        )


def _kind(file: BinaryIO) -> str | None:
    reader = _Reader(file)
    first = reader.pictured(reader.first)
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
        with contextlib.suppress(*BROKEN):
            yield reader.pictured(offset)


def _following(reader: _Reader, first: _Directory) -> Iterator[_Directory]:
    directory = first
    for _ in range(_MAX_FOLLOWING):
        if not directory.following:
            return
        try:
            directory = reader.pictured(directory.following)
        except BROKEN:
            return
        yield directory
