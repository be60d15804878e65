"""The way of every photo: told by its content, opened, measured, decoded, made square."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.forks import import_before_fork
from flowers_onnx.image_formats import HEADER_SIZE, MAX_PIXELS, READABLE, sniff, why_unsupported
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels.errors import decoding_error
from flowers_onnx.pixels.memory import check, need_of, reserved
from flowers_onnx.pixels.orientation import displayed_size, orientation_of, upright
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.reduction import HEADROOM, PLAIN, Told
from flowers_onnx.pixels.square import square

Pixels = npt.NDArray[np.uint8]

#: What may be the fault of something that the picture doesn't need.
_MENDABLE = {"corrupt", "truncated", "unsupported"}

import_before_fork(
    [
        *("ctypes", "flowers_onnx.camera_raw", "flowers_onnx.tiff_directory"),
        *(
            f"flowers_onnx.pixels.{name}"
            for name in ("jpeg_mending", "tiff_mending", "told", "quiet")
        ),
        *(f"flowers_onnx.pixels.{name.lower()}" for name in (*READABLE, "heic", "colour")),
        *(f"PIL.{name}" for name in READABLE.values()),
    ]
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels ready for the network (uint8 ``[size, size, 3]``, RGB) and the image's own size.

    ``width`` and ``height`` are in pixels, as displayed: EXIF orientation applied.
    ``decode_ms`` and ``preprocess_ms`` are the wall time to the image's pixels, and from
    there to these.
    """

    pixels: Pixels
    width: int
    height: int
    decode_ms: float
    preprocess_ms: float


def decode(file: BinaryIO, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode an image file and crop and resize it; raises ``ImageError``.

    ``file`` is seekable and read from its start; it is closed.
    """
    started = time.perf_counter()
    with closing(file):
        try:
            return _decode(file, preprocess, max_pixels, started)
        except Warning:  # the caller's program has them raised
            from flowers_onnx.pixels.quiet import quietly

            file.seek(0)
            with quietly():
                return _decode(file, preprocess, max_pixels, started)


def _decode(file: BinaryIO, preprocess: Preprocess, max_pixels: int, started: float) -> Decoded:
    """As it is, or mended."""
    reader = _reader(_identify(file), file)
    try:
        return _read(reader, Mended(file, {}), preprocess, max_pixels, started)
    except ImageError as error:
        failure = ImageError(error.code, str(error))  # its traceback holds the image
    mended = reader.mended(max_pixels) if failure.code in _MENDABLE else None
    if mended is None:
        raise failure
    try:
        return _read(reader, mended, preprocess, max_pixels, started)
    except ImageError as error:
        if error.code not in _MENDABLE:
            failure = ImageError(error.code, str(error))
    raise failure


def _read(
    reader: Reader, source: Mended, preprocess: Preprocess, max_pixels: int, started: float
) -> Decoded:
    """Open and decode the reader's file, or what it has made of it."""
    early = reader.early_need()
    with reserved(early, max_pixels) if early else nullcontext():
        try:
            image = reader.open(source.file)
        except ImageError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly every built-in error
            raise decoding_error(error, reader.name) from error
        image.info.update(source.info)
        size = image.size
        # Enough for the cropped square at twice the input size.
        reader.reduce(image, math.ceil(HEADROOM * preprocess.size / preprocess.crop_fraction))
        need = reader.need(image, size)
        check(need, max_pixels)
        with nullcontext() if early else reserved(need, max_pixels):
            decoded = _prepare(image, size, preprocess, started, reader.look_at)
            del image  # before another one may have the memory
    reader.confirm(source.file, max_pixels)
    return decoded


def prepare(image: Image.Image, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Crop and resize a Pillow image, leaving it as it is; raises ``ImageError``."""
    started, size = time.perf_counter(), image.size
    with reserved(need_of(image, size), max_pixels):
        try:
            return _prepare(image, size, preprocess, started)
        except Warning:
            from flowers_onnx.pixels.quiet import quietly

            with quietly():
                return _prepare(image, size, preprocess, started)


def _prepare(
    image: Image.Image,
    size: tuple[int, int],
    preprocess: Preprocess,
    started: float,
    look_at: Callable[[Image.Image], None] | None = None,
) -> Decoded:
    """``size`` is the image's own; ``image`` may have been reduced by the decoder."""
    told = _told_by(image)
    _load(image)
    if look_at:
        look_at(image)
    if image.format == "TIFF":  # Pillow has turned it
        size = image.size
    loaded = time.perf_counter()
    orientation = orientation_of(image)
    # The crop is centred, so turning the small square equals turning the large image.
    pixels = np.asarray(upright(square(image, preprocess, told), orientation))
    width, height = displayed_size(size, orientation)
    ended = time.perf_counter()
    return Decoded(pixels, width, height, (loaded - started) * 1e3, (ended - loaded) * 1e3)


def _told_by(image: Image.Image) -> Told:
    if image.format in {"JPEG", "MPO"}:  # which most photos are: nothing to import
        return PLAIN
    from flowers_onnx.pixels.told import told_by

    return told_by(image)


def _identify(file: BinaryIO) -> str:
    """The format, told by content; it may be one that isn't read."""
    header = file.read(HEADER_SIZE)
    file.seek(0)
    if not header:
        raise ImageError("is_empty", "the file is empty")
    name = sniff(header)
    if name is None:
        raise ImageError("not_an_image", "not an image, or of an unknown format")
    if name == "TIFF":
        from flowers_onnx.camera_raw import kind_of_tiff  # of few photos

        name = kind_of_tiff(file) or name
    return name


def _reader(name: str, file: BinaryIO) -> Reader:
    """Imported where it is needed, by statements, which a program that freezes ours can see."""
    reader: type[Reader]
    match name:
        case "JPEG":
            from flowers_onnx.pixels import jpeg

            reader = jpeg.FormatReader
        case "PNG":
            from flowers_onnx.pixels import png

            reader = png.FormatReader
        case "WEBP":
            from flowers_onnx.pixels import webp

            reader = webp.FormatReader
        case "GIF":
            from flowers_onnx.pixels import gif

            reader = gif.FormatReader
        case "BMP":
            from flowers_onnx.pixels import bmp

            reader = bmp.FormatReader
        case "TIFF":
            from flowers_onnx.pixels import tiff

            reader = tiff.FormatReader
        case "AVIF":
            from flowers_onnx.pixels import avif

            reader = avif.FormatReader
        case "HEIC":
            from flowers_onnx.pixels import heic

            reader = heic.FormatReader
        case _:
            raise ImageError("unsupported", why_unsupported(name))
    return reader(name, file)


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except ImageError:
        raise
    except Exception as error:
        raise decoding_error(error, image.format) from error
