"""Text that people and other programs wrote: lists, manifests, results, as bytes of whatever form.

UTF-8 with or without a byte order mark, or UTF-16, which its mark tells: what editors, Excel and
PowerShell save. Anything else is an error that names the line, and never a text of other letters.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from flowers_onnx.errors import UsageError

#: Bytes that are decoded at a time.
_CHUNK = 1 << 16

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_NO_TEXT = "not text, or UTF-16 without a byte order mark; save it as UTF-8"
_NOT_UTF8 = "not UTF-8; save it as UTF-8 (from Latin-1: iconv -f LATIN1 -t UTF-8)"


@contextlib.contextmanager
def open_lines(path: str | int, name: str | None = None) -> Iterator[Iterator[str]]:
    """The lines of a file, or of a descriptor that stays open, each with its end.

    ``name`` is what errors call it. Raises ``OSError``, and ``UsageError`` for what is no text.
    """
    with open(path, "rb", closefd=not isinstance(path, int)) as file:
        yield _lines(file, str(path) if name is None else name)


def read_text(path: str) -> str:
    """All of a file. Raises ``OSError``, and ``UsageError`` for what is no text."""
    with open_lines(path) as lines:
        return "".join(lines)


def open_utf8(path: str) -> BinaryIO:
    """A text file's bytes as UTF-8 without a mark, for who looks at bytes."""
    return as_utf8(open(path, "rb"))


def as_utf8(file: BinaryIO) -> BinaryIO:
    """The same for a file that is open, at its start; closing it closes ``file`` too."""
    buffered: io.BufferedReader[Any] = (
        file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("Any", file))
    )
    start = buffered.peek(len(codecs.BOM_UTF8))
    # Of a pipe there may be a single byte as yet; neither is ever in UTF-8.
    if start.startswith(_UTF16) or start in {b"\xff", b"\xfe"}:
        return io.BufferedReader(_FromUtf16(buffered))
    if start.startswith(codecs.BOM_UTF8):
        buffered.read(len(codecs.BOM_UTF8))
    return buffered


def path_in(text: str) -> str:
    """The path that a text means: names in texts are UTF-8, whatever the system's own encoding.

    Where that is another one, and no file has the name in UTF-8, it is the name in that one.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return text
    with contextlib.suppress(UnicodeError):  # half a character: no file has that name
        path = os.fsdecode(text.encode())
        if os.path.lexists(path) or not os.path.lexists(text):
            return path
    return text


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    number = 0
    try:
        # The mark of what came through a pipe byte by byte is still there.
        with io.TextIOWrapper(as_utf8(file), "utf-8-sig", newline="") as text:
            for line in text:
                number += 1
                if "\0" in line:
                    raise UsageError(f"{name}, line {number}: {_NO_TEXT}")
                yield line
    except UnicodeDecodeError as error:
        number += 1 + error.object[: error.start].decode(error.encoding, "replace").count("\n")
        if error.encoding.startswith("utf-16"):
            reason = "broken UTF-16; save it as UTF-8"
        else:
            reason = _NO_TEXT if b"\0" in error.object else _NOT_UTF8
        raise UsageError(f"{name}, line {number}: {reason}") from error
    except UnicodeError as error:
        raise UsageError(f"{name}: neither UTF-8 nor UTF-16; save it as UTF-8") from error


class _FromUtf16(io.RawIOBase):
    """UTF-16 with its mark, read as UTF-8."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._waiting:
            data = self._file.read1(_CHUNK)
            self._waiting = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        part = self._waiting[: len(buffer)]
        self._waiting = self._waiting[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()
