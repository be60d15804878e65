"""Where one request ends and the next begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flowers_onnx.errors import ImageError
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.text import as_utf8

#: Longest line: the largest photo in base64, and room for the rest of the request.
MAX_LINE = MAX_BYTES * 4 // 3 + (1 << 20)
_DISCARDED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one request, or why there are none; ``number`` counts from 1."""

    number: int
    data: bytes
    error: ImageError | None = None


def json_lines(stream: BinaryIO) -> Iterator[Frame]:
    """One frame a line, each without its line feed; what follows the last one counts too."""
    number, stream = 0, as_utf8(stream)
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            yield Frame(number, b"", _too_large(f"the line is longer than {MAX_LINE} bytes"))
            while not line.endswith(b"\n") and line:
                line = stream.readline(_DISCARDED_AT_ONCE)
        else:
            yield Frame(number, line)


def raw_frames(stream: BinaryIO) -> Iterator[Frame]:
    """Frames of a 4-byte big-endian length and as many bytes."""
    number = 0
    while header := stream.read(4):
        number += 1
        length = int.from_bytes(header, "big")
        if len(header) < 4:
            yield Frame(number, b"", _cut_off())
        elif length > MAX_BYTES:
            # Answered before the rest is read: a wrong length may be followed by nothing.
            yield Frame(number, b"", _too_large(f"a frame of more than {MAX_BYTES} bytes"))
            while length and (skipped := stream.read(min(length, _DISCARDED_AT_ONCE))):
                length -= len(skipped)
        else:
            data = stream.read(length)
            yield Frame(number, data, None if len(data) == length else _cut_off())


FRAMINGS: dict[str, Callable[[BinaryIO], Iterator[Frame]]] = {
    "jsonl": json_lines,
    "raw": raw_frames,
}


def _too_large(message: str) -> ImageError:
    return ImageError("too_large", message)


def _cut_off() -> ImageError:
    return ImageError("bad_request", "standard input ends before the frame does")
