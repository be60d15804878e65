"""A file of the same layout where all bytes are zero but those that are known and wanted."""

from __future__ import annotations

from flowers_onnx.serve.keep.cleaning import CannotCleanError


class Ranges:
    """What is kept of a file, each byte where it was."""

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)
        self.content = bytearray(len(data))
        self._end = 0

    def blank(self, start: int, end: int) -> None:
        """Have these bytes, as zeros; raises ``CannotCleanError`` where the file has no such."""
        if not 0 <= start <= end <= len(self._view):
            raise CannotCleanError("it points to what is beyond its end")
        self._end = max(self._end, end)

    def keep(self, start: int, end: int) -> None:
        """Have these bytes as they are; raises the same."""
        self.blank(start, end)
        self.content[start:end] = self._view[start:end]

    def write(self, start: int, new: bytes) -> None:
        """Put other bytes there, as many as they are."""
        self.keep(start, start + len(new))
        self.content[start : start + len(new)] = new

    def joined(self) -> bytes:
        """The file up to the last byte that it must have."""
        return bytes(memoryview(self.content)[: self._end])
