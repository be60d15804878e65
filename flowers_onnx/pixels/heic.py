"""HEIC and other HEIF, by the package of the extra [heic]; nobody else's Pillow learns of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, BinaryIO

from PIL import Image

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.forks import after_fork
from flowers_onnx.pixels.errors import decoding_error, unsupported
from flowers_onnx.pixels.memory import Need, area
from flowers_onnx.pixels.reader import Reader

#: The boxes without which there is no picture.
_NEEDED = {b"ftyp", b"meta", b"mdat"}
#: A folder of phone photos is decoded in threads already; a photo then takes two more at most.
_THREADS = 1
_BYTES = 9

_turn = Budget(1)
after_fork(_turn.renew)


class FormatReader(Reader):
    """By the extra's package."""

    def open(self, file: BinaryIO) -> Image.Image:
        """The primary image, turned as it is displayed; raises ``ImageError``."""
        make, options = _reader()
        _check_length(file)
        try:
            with _turn.reserve(1):
                others = options.DECODE_THREADS  # read as the file is opened
                options.DECODE_THREADS = _THREADS
                try:
                    return make(file, "")
                finally:
                    options.DECODE_THREADS = others
        except Exception as error:
            raise _heif_error(error) from error

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:  # noqa: ARG002
        """What libheif holds beside the pixels: 7.2 to 8.5 bytes a pixel were measured."""
        return Need(size, area(size), area(size) * _BYTES)


@cache
def _plugin() -> tuple[Callable[[BinaryIO, str], Image.Image], Any]:
    import pillow_heif

    class Heif(pillow_heif.HeifImageFile):  # type: ignore[misc]  # it may not be installed
        """As Pillow reads it, but never the thumbnail instead, and with errors for people."""

        def draft(self, mode: object, size: object) -> None:
            """Nothing can be reduced."""

        def load(self) -> Any:
            """Decode it; raises ``ImageError``."""
            try:
                return super().load()
            except Exception as error:
                raise _heif_error(error) from error

    return Heif, pillow_heif.options


def _reader() -> tuple[Callable[[BinaryIO, str], Image.Image], Any]:
    try:
        return _plugin()
    except ImportError:
        raise ImageError("unsupported", str(missing_extra("heic", "a HEIC photo"))) from None


def _check_length(file: BinaryIO) -> None:
    """Raise where the file ends within a box: tiles that aren't there would just be grey."""
    end, position = file.seek(0, os.SEEK_END), 0
    while position + 8 <= end:
        file.seek(position)
        size, name = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8:  # up to the end, or none
            break
        position += size
        if position > end and name in _NEEDED:
            raise ImageError("truncated", "the file ends before the image does")
    file.seek(0)


def _heif_error(error: Exception) -> ImageError:
    """What libheif's words mean."""
    text = str(error).lower()
    if "security limit" in text:
        return ImageError("too_large", "it holds more pixels than it says")
    if "end of file" in text or "insufficient" in text:
        return ImageError("truncated", "the file ends before the image does")
    if "unsupported" in text or "not supported" in text or "not identified" in text:
        return unsupported("a HEIF of this kind")
    return decoding_error(error)
