"""From a loaded image of any mode and size to the RGB square that the network takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels.errors import decoding_error

#: The decoder may leave an image this many times larger than needed, never less: a
#: reduction in the JPEG decoder down to the very size would cost accuracy.
HEADROOM = 2

#: Pixels that are converted at a time, where a whole image would need a copy or two.
_BAND = 1 << 20

#: What white may be in numbers of 32 bits, and how far 99 of 100 pixels may be above it: a kernel
#: overshoots, and light beyond white is common where white is 1.
_WHITES = ((1.0, 8.0), (255.0, 1.25), (65535.0, 1.25))


Box = tuple[int, int, int, int]


class Told(NamedTuple):
    """What a file says of its pixels and Pillow forgets; of most files, ``PLAIN``.

    ``white``: the number that is white, in grey of more than 8 bits; None if it isn't told.
    ``largest``: the largest number that there could be, where white isn't told.
    ``is_negative``: the largest number is black, and Pillow hasn't turned that round.
    ``clear``: the value that stands for transparency, in the numbers that Pillow gives.
    ``drawn``: the part of the canvas that the first frame covers; the rest is transparent.
    ``may_lack_alpha``: an alpha channel of zeros alone is none.
    """

    white: float | None = None
    largest: float | None = None
    is_negative: bool = False
    clear: int | tuple[int, ...] | None = None
    drawn: Box | None = None
    may_lack_alpha: bool = False


PLAIN = Told()


def crop_and_resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The centred square of ``image``, resized; one resize reads straight from the box."""
    width, height = image.size
    side = min(width, height) * preprocess.crop_fraction
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    kernel = Image.Resampling[preprocess.kernel.upper()]
    return image.resize((preprocess.size, preprocess.size), kernel, box=box)


def square(image: Image.Image, preprocess: Preprocess, told: Told = PLAIN) -> Image.Image:
    """Shrink a loaded image to an RGB square of the input size."""
    try:
        is_grey = image.mode.startswith("I") or image.mode == "F"
        small = (_grey if is_grey else _colours)(image, preprocess, told)
        return _as_srgb(small, image.info)
    except ImageError:
        raise
    except Exception as error:
        raise decoding_error(error) from error


def _as_srgb(small: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """A square of mode RGB, L or CMYK in the colours that its file means."""
    if profile := info.get("icc_profile"):
        from flowers_onnx.pixels.colour import to_srgb

        return to_srgb(small, profile)
    if (gamma := info.get("gamma")) and "srgb" not in info:  # PNG's
        from flowers_onnx.pixels.colour import without_gamma

        small = without_gamma(small, gamma)
    return small if small.mode == "RGB" else small.convert("RGB")


def _colours(image: Image.Image, preprocess: Preprocess, told: Told) -> Image.Image:
    """The square of an image of 8 bits or less: RGB, or as a profile describes it."""
    if image.mode == "LAB":
        return crop_and_resize(image, preprocess).convert("RGB")
    if told.may_lack_alpha and image.mode == "RGBA" and image.getchannel("A").getbbox() is None:
        image = image.convert("RGB")
    if "transparency" in image.info or told.drawn:  # before neighbours are mixed
        image = _over_white(image, told)
    else:
        image = _reduced(image, preprocess)
    if "A" in image.getbands() or "a" in image.getbands():
        image = _over_white(image, told)
    if image.mode in ("L", "CMYK") and image.info.get("icc_profile"):
        return crop_and_resize(image, preprocess)
    return crop_and_resize(image if image.mode == "RGB" else image.convert("RGB"), preprocess)


def _reduced(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shrink a large image by a whole factor, so that converting its mode stays cheap."""
    side = min(image.size) * preprocess.crop_fraction
    factor = int(side // (HEADROOM * preprocess.size))
    if factor < 2 or image.mode not in ("RGB", "RGBA", "L", "LA", "CMYK", "RGBX"):
        return image
    return image.reduce(factor)


def _over_white(image: Image.Image, told: Told) -> Image.Image:
    """What is transparent as white, in RGB."""
    white = Image.new("RGB", image.size, "white")
    for box, part in _bands(image, told.drawn):
        if told.clear is not None:
            part.info["transparency"] = told.clear
        # There is no way from premultiplied grey to RGBA at once.
        opaque = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
        white.paste(opaque, box[:2], mask=opaque.getchannel("A"))
    return white


def _bands(image: Image.Image, within: Box | None = None) -> Iterator[tuple[Box, Image.Image]]:
    """Copies of parts of ``image`` from top to bottom, so that only one at a time is converted."""
    left, top, right, bottom = within or (0, 0, *image.size)
    rows = max(1, _BAND // max(1, right - left))
    for first in range(top, bottom, rows):
        box = (left, first, right, min(first + rows, bottom))
        yield box, image.crop(box)


def _grey(image: Image.Image, preprocess: Preprocess, told: Told) -> Image.Image:
    """The square of grey numbers of more than 8 bits, as mode L."""
    values = np.asarray(crop_and_resize(_floats(image, told), preprocess))
    white = _white(values, image.mode, told)
    grey = np.nan_to_num(values).clip(0, white) * (255 / white)
    return Image.fromarray((255 - grey if told.is_negative else grey).astype(np.uint8))


def _floats(image: Image.Image, told: Told) -> Image.Image:
    """Grey as mode F, what is transparent as white."""
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return image.convert("F")
    floats = Image.new("F", image.size)
    for box, part in _bands(image):
        values = np.asarray(part.convert("F")).copy()
        values[values == clear] = told.white or 65535
        floats.paste(Image.fromarray(values), box[:2])
    return floats


def _white(values: npt.NDArray[np.float32], mode: str, told: Told) -> float:
    """The number that is white; of the wider modes it is told by the numbers themselves."""
    if told.white or mode.startswith("I;16"):
        return told.white or 65535.0
    finite = values[np.isfinite(values)]
    darkest, lightest = np.percentile(finite, (1, 99)) if finite.size else (0.0, 0.0)
    if mode == "I" and darkest < 0:
        raise ImageError("unsupported", "grey below zero is not supported; save it as 8 bits")
    is_whole = mode == "I" or told.largest is not None
    for white, headroom in _WHITES[1:] if is_whole else _WHITES:
        if lightest <= white * headroom:
            return white
    if told.largest is None or lightest < told.largest / 32:
        raise ImageError("unsupported", "grey above 65535 is not supported; save it as 8 bits")
    return told.largest
