"""What a kept photo doesn't say: where it was taken, when, by whom, with which device.

The picture's bytes stay as they are, and so does what decides on its colours and on which side is
up: a kept file gives the same pixels and the same answer as what was sent.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from flowers_onnx.image_formats import HEADER_SIZE, sniff
from flowers_onnx.serve.keep.cleaning import (
    CannotCleanError,
    avif,
    bmp,
    gif,
    jpeg,
    png,
    tiff,
    webp,
)

__all__ = ["CannotCleanError", "Cleaned", "Kind", "clean", "kind_of"]


class Kind(NamedTuple):
    """What a file is called: a suffix and a media type."""

    suffix: str
    media_type: str


class Cleaned(NamedTuple):
    """A file fit to be kept, and what it is called."""

    data: bytes
    suffix: str
    media_type: str


#: HEIC has none.
_CLEANERS = {
    "JPEG": jpeg.clean,
    "PNG": png.clean,
    "WEBP": webp.clean,
    "GIF": gif.clean,
    "BMP": bmp.clean,
    "TIFF": tiff.clean,
    "AVIF": avif.clean,
}
_KINDS = {
    "JPEG": Kind(".jpg", "image/jpeg"),
    "PNG": Kind(".png", "image/png"),
    "WEBP": Kind(".webp", "image/webp"),
    "GIF": Kind(".gif", "image/gif"),
    "BMP": Kind(".bmp", "image/bmp"),
    "TIFF": Kind(".tif", "image/tiff"),
    "AVIF": Kind(".avif", "image/avif"),
    "HEIC": Kind(".heic", "image/heic"),
}


def kind_of(data: bytes) -> Kind | None:
    """Told by the first bytes; None for what is no image that can be read here."""
    return _KINDS.get(sniff(data[:HEADER_SIZE]) or "")


def clean(data: bytes) -> Cleaned:
    """The photo without anything that isn't the picture, nothing of it compressed again.

    For photos that had an answer. Raises ``CannotCleanError`` for one that is built so oddly that
    the rest can't be told from the picture: such a photo must not be kept. Needs no lock; takes
    about as long as copying the bytes twice.
    """
    name = sniff(data[:HEADER_SIZE])
    if name not in _KINDS:
        raise CannotCleanError("no image that can be read here")
    if name == "HEIC":
        raise CannotCleanError("a phone's second pictures can't be told from the first")
    try:
        return Cleaned(_CLEANERS[name](data), *_KINDS[name])
    except (struct.error, LookupError, ValueError) as error:
        raise CannotCleanError("it ends, or points, where it can't") from error
