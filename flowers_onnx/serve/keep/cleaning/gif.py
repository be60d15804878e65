"""GIF, animated or not: frames, their timing, the loop and the ICC profile, up to the trailer.

Comments, plain text and all other applications' blocks (XMP's among them) go.
"""

from __future__ import annotations

from flowers_onnx.serve.keep.cleaning import CannotCleanError

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF
_APPLICATIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_HEADER = 13


def clean(data: bytes) -> bytes:
    """The file without what isn't the picture."""
    view = memoryview(data)
    position = _HEADER + _palette(data, 10)
    parts: list[bytes | memoryview] = [view[:position]]
    has_image = False
    while position < len(data) and data[position] != _TRAILER:
        start = position
        if data[position] == _IMAGE:
            if has_image and start + 9 >= len(data):
                break
            position = _behind_blocks(data, start + 11 + _palette(data, start + 9))
            parts.append(view[start:position])
            has_image = True
        elif data[position] == _EXTENSION:
            label = data[start + 1 : start + 2]
            position = _behind_blocks(data, start + 2)
            if position == start + 3 and label != bytes([_COMMENT]):
                if has_image:
                    break
                raise CannotCleanError("an extension without content: readers disagree on its end")
            if label == bytes([_CONTROL]) or (
                label == bytes([_APPLICATION])
                and data.startswith(_APPLICATIONS, start + 3)
                and data[start + 2] == 11
            ):
                parts.append(view[start:position])
        else:
            position += 1  # readers skip it
    if not has_image:
        raise CannotCleanError("no image")
    if position < len(data):
        parts.append(b";")
    return b"".join(parts)


def _palette(data: bytes, at: int) -> int:
    """The size of the palette that the flags at ``at`` tell of."""
    if at >= len(data):
        raise CannotCleanError("it ends in a header")
    return 3 << (data[at] & 7) + 1 if data[at] & 0x80 else 0


def _behind_blocks(data: bytes, position: int) -> int:
    """Where a chain of blocks ends, each a length and as many bytes; the last is empty."""
    while position < len(data) and (size := data[position]):
        position += 1 + size
    return min(position + 1, len(data))
