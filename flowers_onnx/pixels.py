"""From an image file to the network's input."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.image_formats import HEADER_SIZE, MAX_PIXELS, READABLE, sniff
from flowers_onnx.machine import return_freed_memory
from flowers_onnx.metadata import Preprocess

Pixels = npt.NDArray[np.uint8]

#: What a pixel of these costs, in ordinary pixels: they decode into buffers of their own.
_COSTLY_FORMATS = {"WEBP": 2, "AVIF": 2}
#: Of a JPEG, as in libtiff: encoders make a dozen.
MAX_SCANS = 100
#: From this cost on, memory is returned to the system after an image.
_LARGE = 4_000_000
#: They take their buffers as soon as they are opened, so one image waits for the other.
_turns = {name: threading.Lock() for name in _COSTLY_FORMATS}

#: The decoder may leave an image this many times larger than needed, never less: a
#: reduction in the JPEG decoder down to the very size would cost accuracy.
_HEADROOM = 2

_ORIENTATION_TAG = 0x0112
_TILE_WIDTH, _TILE_LENGTH = 322, 323
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
        needed = math.ceil(_HEADROOM * preprocess.size / preprocess.crop_fraction)
        image.draft(None, (needed, needed))
        # With all its coefficients in memory, a JPEG costs the same reduced or not.
        whole = image.format in ("JPEG", "MPO") and _keeps_coefficients(image, file)
        if whole:
            _check_scans(file)
        pixels = _area(size) if whole else _largest_area(image)
        with _reserved(_cost(image, size, pixels, max_pixels)), closing(image):
            return _prepare(image, size, preprocess, started)


def prepare(image: Image.Image, preprocess: Preprocess, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Crop and resize a Pillow image, leaving it as it is; raises ``ImageError``."""
    started, size = time.perf_counter(), image.size
    with _reserved(_cost(image, size, _largest_area(image), max_pixels)):
        return _prepare(image, size, preprocess, started)


def _cost(image: Image.Image, size: tuple[int, int], pixels: int, max_pixels: int) -> int:
    """What decoding takes, in ordinary pixels; ``pixels`` are those the decoder holds at once."""
    if not _area(size):
        raise ImageError("corrupt", "the image has no pixels")
    cost = pixels * _COSTLY_FORMATS.get(image.format or "", 1)
    if cost > max_pixels:
        raise ImageError("too_large", f"{size[0]} x {size[1]} pixels are too many to decode")
    return cost


def _prepare(
    image: Image.Image, size: tuple[int, int], preprocess: Preprocess, started: float
) -> Decoded:
    """``size`` is the image's own; ``image`` may have been reduced by the decoder."""
    width, height = size
    _load(image)
    loaded = time.perf_counter()
    square = _square(image, preprocess)
    # The crop is centred, so turning the small square equals turning the large image.
    orientation = orientation_of(image)
    if orientation in _ORIENTATIONS:
        square = square.transpose(_ORIENTATIONS[orientation])
    if orientation in _SIDEWAYS:
        width, height = height, width
    pixels = np.asarray(square)
    ended = time.perf_counter()
    return Decoded(pixels, width, height, (loaded - started) * 1e3, (ended - loaded) * 1e3)


#: What all threads decode at one time is within what a single image may cost.
_memory = Budget(MAX_PIXELS)


@contextmanager
def _reserved(cost: int) -> Iterator[None]:
    """Wait until ``cost`` pixels may be decoded."""
    with _memory.reserve(cost):
        try:
            yield
        finally:
            if cost > _LARGE:
                return_freed_memory()


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _largest_area(image: Image.Image) -> int:
    """Pixels of the image, or of one of its tiles: a TIFF's may be larger than the image."""
    tile_size = (0, 0)
    if isinstance(tags := getattr(image, "tag_v2", None), Mapping):
        with suppress(TypeError, ValueError):
            tile_size = (int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0)))
    return max(_area(image.size), _area(tile_size))


def _keeps_coefficients(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a JPEG must be held in memory whole: progressive, or with several scans.

    Pillow has just read the header of the first scan, which says how many components it
    holds: all of them if there is no other scan.
    """
    if "progressive" in image.info:
        return True
    components = len(image.getbands())
    length = 6 + 2 * components
    end = file.tell()
    file.seek(max(0, end - length - 2))
    scan = file.read(length + 2)
    file.seek(end)
    return scan[:5] != b"\xff\xda" + length.to_bytes(2, "big") + bytes([components])


def _check_scans(file: BinaryIO) -> None:
    """Refuse a JPEG whose decoder would go over all of it again and again.

    A scan takes 20 bytes in the file, and as long to decode as the picture is large: minutes, in
    a file of 100 KB. Pillow has just read the header of the first one.
    """
    begin = file.tell()
    rest = file.read()
    file.seek(begin)
    end = rest.find(b"\xff\xd9")  # neither marker is ever in a scan's data
    scans = 1 + rest.count(b"\xff\xda", 0, len(rest) if end < 0 else end)
    if scans > MAX_SCANS:
        raise ImageError("too_large", f"{scans} scans are too many to decode")


def crop_and_resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The centred square of ``image``, resized; one resize reads straight from the box."""
    width, height = image.size
    side = min(width, height) * preprocess.crop_fraction
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    kernel = Image.Resampling[preprocess.kernel.upper()]
    return image.resize((preprocess.size, preprocess.size), kernel, box=box)


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
        raise _decoding_error(error) from error


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise nearly every built-in error
        raise _decoding_error(error) from error


def _square(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shrink a loaded image to an RGB square of the input size."""
    try:
        if image.mode.startswith("I") or image.mode == "F":
            scale = _scale_to_8_bits(image)
            grey = np.nan_to_num(np.asarray(crop_and_resize(image.convert("F"), preprocess)))
            return Image.fromarray((grey * scale).clip(0, 255).astype(np.uint8)).convert("RGB")
        return crop_and_resize(_to_rgb(_reduced(image, preprocess)), preprocess)
    except Exception as error:
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
    """Any Pillow mode of 8 bits or less as RGB, alpha over white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> float:
    """What makes 0..255 of a 16-bit, 32-bit or floating-point grey image.

    The range of the wider modes is not recorded in the file, so it is told by the values:
    up to 1 (floats), up to 255, or up to 65535.
    """
    if image.mode.startswith("I;16"):
        return 255 / 65535
    peak = np.nan_to_num(np.asarray(image.getextrema(), np.float64)).max()
    if peak > 255:
        return 255 / 65535
    return 255.0 if image.mode == "F" and peak <= 1 else 1.0


def orientation_of(image: Image.Image) -> int:
    """How a loaded image must be turned, by its EXIF or XMP: 1 for not at all, never an error."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # broken EXIF is common, and no reason to lose the photo
        return 1
