"""A file that is made of parts of another one, without a copy of them."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import BinaryIO

#: Bytes, or where they are in the file: from one place up to another.
Part = bytes | tuple[int, int]


def spliced(file: BinaryIO, parts: Sequence[Part]) -> BinaryIO:
    """These parts, one after the other. Who reads them moves ``file``."""
    return io.BufferedReader(_Spliced(file, parts))


class _Spliced(io.RawIOBase):
    def __init__(self, file: BinaryIO, parts: Sequence[Part]) -> None:
        self._file, self._position, self._size = file, 0, 0
        self._parts = list[tuple[int, int, Part]]()
        for part in parts:
            length = len(part) if isinstance(part, bytes) else max(0, part[1] - part[0])
            self._parts.append((self._size, self._size + length, part))
            self._size += length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = bisect_right(self._parts, self._position, key=itemgetter(0)) - 1
        while 0 <= at < len(self._parts):
            start, end, part = self._parts[at]
            if self._position < end:
                skipped = self._position - start
                length = min(len(buffer), end - self._position)
                if isinstance(part, bytes):
                    found = part[skipped : skipped + length]
                else:
                    self._file.seek(part[0] + skipped)
                    found = self._file.read(length)
                buffer[: len(found)] = found
                self._position += len(found)
                return len(found)
            at += 1  # an empty one
        return 0
