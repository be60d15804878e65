"""How a picture must be turned: read as ``pixels`` reads it, written as EXIF with no other tag."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from flowers_onnx.pixels import orientation_of
from flowers_onnx.serve.keep.cleaning import CannotCleanError

Opener = Callable[[io.BytesIO, str], Image.Image]

_TAG, _SHORT = 0x0112, 3
#: Where Pillow finds an orientation in XMP, when EXIF has none.
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)[0-9]')


def told_by(info: Mapping[Any, Any]) -> int:
    """The orientation, 1 to 8, of an image with this ``info`` (``exif`` and ``xmp``)."""
    picture = Image.Image()
    picture.info = dict(info)
    return sound(orientation_of(picture))


def sound(orientation: int) -> int:
    """1 for what turns nothing."""
    return orientation if 1 < orientation <= 8 else 1


def exif(orientation: int) -> bytes:
    """EXIF's TIFF block with this one tag; nothing for 1."""
    if orientation == 1:
        return b""
    entry = struct.pack("<HHIHH", _TAG, _SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def blank_xmp(xmp: bytes) -> bytes:
    """Spaces instead of all but the orientation; as long as before."""
    found = _IN_XMP.search(xmp)
    if found is None:
        return b" " * len(xmp)
    quote = b'"' if b"=" in found[0] else b"<"
    return (found[0] + quote).ljust(len(xmp))[: len(xmp)]


def cleaned_in_place(data: bytes, blank: Callable[..., bytes], opened: Opener) -> bytes:
    """What ``blank(data, keep_xmp=...)`` makes, if the image is then opened as it was before.

    XMP is kept blank, but for the orientation, only where that is what turns the picture.
    """
    before = _seen(data, opened)
    for keep_xmp in (False, True):
        cleaned = blank(data, keep_xmp=keep_xmp)
        if _seen(cleaned, opened) == before:
            return cleaned
    raise CannotCleanError("what turns the picture can't be told from the rest")


def _seen(data: bytes, opened: Opener) -> tuple[str, tuple[int, int], int]:
    try:
        with opened(io.BytesIO(data), "") as image:
            return image.mode, image.size, sound(orientation_of(image))
    except Exception as error:  # Pillow raises nearly every built-in error
        raise CannotCleanError("it can't be opened") from error
