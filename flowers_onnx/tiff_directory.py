"""Directories of a TIFF or a BigTIFF of either byte order: what each entry is, and where its value.

Little is read, and no more than is there, however the file is made.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final, NamedTuple

#: Bytes of a value of each type.
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
                 13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip
#: Types of whole numbers without sign, from BYTE to IFD8.
WHOLE: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
#: More than a file has.
_MAX_ENTRIES = 1024

#: What reading a directory raises where it ends, or points, where it can't.
BROKEN = (struct.error, OverflowError, OSError)


class Entry(NamedTuple):
    """``length`` is in numbers; ``field`` is the value itself, if it fits, or where it is."""

    tag: int
    type: int
    length: int
    field: bytes

    @property
    def size(self) -> int:
        """Of the value, in bytes; 0 for a type that is none."""
        return _SIZES.get(self.type, 0) * self.length

    @property
    def is_inline(self) -> bool:
        """Whether the value is within the entry."""
        return self.size <= len(self.field)


class Directory(NamedTuple):
    """What describes one picture; ``following`` is where the next one is, 0 for none."""

    entries: list[Entry]
    following: int
    is_cut: bool


class TiffReader:
    """Reads the directories of ``file``; raises one of ``BROKEN`` where there is no TIFF."""

    def __init__(self, file: BinaryIO) -> None:
        self._end = file.seek(0, 2)
        file.seek(0)
        header = file.read(16)
        self._file = file
        self.order = "<" if header[:2] == b"II" else ">"
        self.is_big = self.number("H", header[2:4]) == 43
        #: Of a count of entries, of an entry, and of an offset.
        forms = ("Q", "HHQ8s", "Q") if self.is_big else ("H", "HHI4s", "I")
        self.counting, self.entry, self.pointer = (self.order + form for form in forms)
        self.first = self.number(self.pointer, header[8 if self.is_big else 4 :])

    def directory(self, offset: int) -> Directory:
        """The directory at ``offset``; one that the file ends in has as many entries as there are.

        Raises ``struct.error`` where there is none.
        """
        self._file.seek(min(offset, self._end))  # no file goes on beyond 63 bits
        (count,) = struct.unpack(self.counting, self._file.read(struct.calcsize(self.counting)))
        if not 0 < count <= _MAX_ENTRIES:
            raise struct.error("no directory")
        size = struct.calcsize(self.entry)
        data = self._file.read(count * size + struct.calcsize(self.pointer))
        rows = struct.iter_unpack(self.entry, data[: min(count, len(data) // size) * size])
        behind = data[count * size :]
        is_cut = len(behind) < struct.calcsize(self.pointer)
        following = 0 if is_cut else self.number(self.pointer, behind)
        return Directory([Entry(*row) for row in rows], following, is_cut)

    def is_there(self, entry: Entry) -> bool:
        """Whether all of its value is within the file."""
        return entry.is_inline or self._place(entry) + entry.size <= self._end

    def numbers(self, entry: Entry, most: int) -> tuple[int, ...]:
        """Its whole numbers, the first so many; none if it holds something else."""
        if entry.type not in WHOLE:
            return ()
        form = f"{self.order}{min(entry.length, most)}{WHOLE[entry.type]}"
        return struct.unpack(form, self.content(entry, struct.calcsize(form)))

    def content(self, entry: Entry, most: int) -> bytes:
        """The bytes of its value, the first so many; fewer where the file ends."""
        size = min(entry.size, most)
        if entry.is_inline:
            return entry.field[:size]
        self._file.seek(min(self._place(entry), self._end))
        return self._file.read(size)

    def number(self, form: str, data: bytes) -> int:
        """The number of this form that ``data`` begins with."""
        form = self.order + form.lstrip("<>")
        number: int
        (number,) = struct.unpack(form, data[: struct.calcsize(form)])
        return number

    def _place(self, entry: Entry) -> int:
        return self.number(self.pointer, entry.field)
