"""The way of every photo: told by its content, opened, measured, decoded, made square."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.forks import after_fork, import_before_fork
from flowers_onnx.image_formats import HEADER_SIZE, MAX_PIXELS, READABLE, sniff
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels.errors import decoding_error
from flowers_onnx.pixels.jpeg import check_scans, keeps_coefficients
from flowers_onnx.pixels.memory import COSTLY_FORMATS, area, cost_of, largest_area, reserved
from flowers_onnx.pixels.orientation import displayed_size, orientation_of, upright
from flowers_onnx.pixels.square import HEADROOM, square

Pixels = npt.NDArray[np.uint8]

#: They take their buffers as soon as they are opened, so one image waits for the other.
_turns = {name: threading.Lock() for name in COSTLY_FORMATS}
after_fork(lambda: _turns.update((name, threading.Lock()) for name in _turns))
import_before_fork(["ctypes", "PIL.MpoImagePlugin", *(f"PIL.{name}" for name in READABLE.values())])


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
    name = _identify(file)
    with _turns.get(name, nullcontext()):
        image = _open(file, name)
        size = image.size
        # Enough for the cropped square at twice the input size; only JPEG can do it.
        needed = math.ceil(HEADROOM * preprocess.size / preprocess.crop_fraction)
        image.draft(None, (needed, needed))
        # With all its coefficients in memory, a JPEG costs the same reduced or not.
        whole = image.format in ("JPEG", "MPO") and keeps_coefficients(image, file)
        if whole:
            check_scans(file)
        pixels = area(size) if whole else largest_area(image)
        with reserved(cost_of(image, size, pixels, max_pixels)), closing(image):
            return _prepare(image, size, preprocess, started)


def prepare(image: Image.Image, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Crop and resize a Pillow image, leaving it as it is; raises ``ImageError``."""
    started, size = time.perf_counter(), image.size
    with reserved(cost_of(image, size, largest_area(image), max_pixels)):
        return _prepare(image, size, preprocess, started)


def _prepare(
    image: Image.Image, size: tuple[int, int], preprocess: Preprocess, started: float
) -> Decoded:
    """``size`` is the image's own; ``image`` may have been reduced by the decoder."""
    _load(image)
    loaded = time.perf_counter()
    orientation = orientation_of(image)
    # The crop is centred, so turning the small square equals turning the large image.
    pixels = np.asarray(upright(square(image, preprocess), orientation))
    width, height = displayed_size(size, orientation)
    ended = time.perf_counter()
    return Decoded(pixels, width, height, (loaded - started) * 1e3, (ended - loaded) * 1e3)


def _identify(file: BinaryIO) -> str:
    """Pillow's name of the format, told by content."""
    header = file.read(HEADER_SIZE)
    file.seek(0)
    if not header:
        raise ImageError("is_empty", "the file is empty")
    name = sniff(header)
    if name is None:
        raise ImageError("not_an_image", "not an image, or of an unknown format")
    if name not in READABLE:
        raise ImageError("unsupported", f"{name} images are not supported; convert it to JPEG")
    return name


def _open(file: BinaryIO, name: str) -> Image.Image:
    """The image, not decoded yet."""
    try:
        import_module(f"PIL.{READABLE[name]}")
        # Not `Image.open`, which loads five plugins for any format, and warns of large
        # images by a filter that threads share; `_prepare` sets the limit.
        make, _ = Image.OPEN[name]
        return make(file, "")
    except Exception as error:
        raise decoding_error(error) from error


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise nearly every built-in error
        raise decoding_error(error) from error
