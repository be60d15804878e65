"""From an image file to the network's input."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.formats import HEADER_SIZE, READABLE, sniff
from flowers_onnx.metadata import Preprocess

Pixels = npt.NDArray[np.uint8]

#: Most pixels that are decoded for one image. With Pillow's 4 to 6 bytes a pixel this
#: keeps the whole process below 300 MB. JPEGs count after their cheap reduction in the
#: decoder, so that a 100-megapixel photo still fits.
MAX_PIXELS = 32_000_000

#: Above this, images are decoded one at a time, whatever the number of threads.
_LARGE = 8_000_000
_one_large_at_a_time = threading.Lock()

#: The decoder may leave an image this many times larger than needed, never less: a
#: reduction in the JPEG decoder down to the very size would cost accuracy.
_HEADROOM = 2

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels ready for the network (uint8 ``[size, size, 3]``, RGB) and the image's own size.

    ``width`` and ``height`` are in pixels, as displayed: EXIF orientation applied.
    """

    pixels: Pixels
    width: int
    height: int


def decode(file: BinaryIO, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode an image file and crop and resize it; raises ``ImageError``.

    ``file`` is seekable and read from its start.
    """
    with _open(file) as image:
        size = image.size
        # Enough for the cropped square at twice the input size; only JPEG can do it.
        needed = math.ceil(_HEADROOM * preprocess.size / preprocess.crop_fraction)
        image.draft(None, (needed, needed))
        return _prepare(image, size, preprocess, max_pixels)


def prepare(image: Image.Image, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Crop and resize a Pillow image, leaving it as it is; raises ``ImageError``."""
    return _prepare(image, image.size, preprocess, max_pixels)


def _prepare(
    image: Image.Image, size: tuple[int, int], preprocess: Preprocess, max_pixels: int
) -> Decoded:
    """``size`` is the image's own; ``image`` may have been reduced by the decoder."""
    width, height = size
    if not width or not height:
        raise ImageError("corrupt", "the image has no pixels")
    # A progressive JPEG holds all its coefficients in memory, reduced or not.
    decoded = size if "progressive" in image.info else image.size
    count = decoded[0] * decoded[1]
    if count > max_pixels:
        raise ImageError(
            "too_large",
            f"{width} x {height} pixels; at most {max_pixels / 1e6:g} million are decoded",
        )
    with _one_large_at_a_time if count > _LARGE else nullcontext():
        square = _square(image, preprocess)
    # The crop is centred, so turning the small square equals turning the large image.
    orientation = _orientation(image)
    if orientation in _ORIENTATIONS:
        square = square.transpose(_ORIENTATIONS[orientation])
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Decoded(np.asarray(square), width, height)


def crop_and_resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The centred square of ``image``, resized; one resize reads straight from the box."""
    width, height = image.size
    side = min(width, height) * preprocess.crop_fraction
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    kernel = Image.Resampling[preprocess.kernel.upper()]
    return image.resize((preprocess.size, preprocess.size), kernel, box=box)


def _open(file: BinaryIO) -> Image.Image:
    """Identify the format by content and open it, undecoded."""
    header = file.read(HEADER_SIZE)
    file.seek(0)
    if not header:
        raise ImageError("is_empty", "the file is empty")
    name = sniff(header)
    if name is None:
        raise ImageError("not_an_image", "not an image, or of an unknown format")
    if name not in READABLE:
        raise ImageError("unsupported", f"{name} images are not supported; convert it to JPEG")
    try:
        import_module(f"PIL.{READABLE[name]}")
        # Not `Image.open`, which loads five plugins for any format, and warns of large
        # images by a filter that threads share; `prepare` sets the limit.
        make, _ = Image.OPEN[name]
        return make(file, "")
    except Exception as error:
        raise _decoding_error(error) from error


def _square(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Decode and shrink to an RGB square of the input size."""
    try:
        image.load()
        return crop_and_resize(_to_rgb(_reduced(image, preprocess)), preprocess)
    except Exception as error:  # Pillow's decoders raise nearly every built-in error
        raise _decoding_error(error) from error


def _decoding_error(error: Exception) -> ImageError:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return ImageError("too_large", "not enough memory to decode it")
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return ImageError("truncated", "the file ends before the image does")
    return ImageError("corrupt", f"can't be decoded: {text[:200]}")


def _reduced(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shrink a large image by a whole factor, so that converting its mode stays cheap."""
    side = min(image.size) * preprocess.crop_fraction
    factor = int(side // (_HEADROOM * preprocess.size))
    if factor < 2 or image.mode not in ("RGB", "RGBA", "L", "LA", "CMYK", "RGBX"):
        return image
    return image.reduce(factor)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as RGB: alpha over white, high bit depths scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(image)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or floating-point grey image as mode ``L``.

    The range of the wider modes is not recorded in the file, so it is told by the values:
    up to 1 (floats), up to 255, or up to 65535.
    """
    values = np.nan_to_num(np.asarray(image, np.float32))
    peak = float(values.max(initial=0))
    if image.mode.startswith("I;16") or peak > 255:
        scale = 255 / 65535
    else:
        scale = 255.0 if image.mode == "F" and peak <= 1 else 1.0
    return Image.fromarray((values * scale).clip(0, 255).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # broken EXIF is common, and no reason to lose the photo
        return 1
