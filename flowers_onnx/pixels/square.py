"""From a loaded image of any mode and size to the RGB square that the network takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels.errors import decoding_error, unsupported
from flowers_onnx.pixels.reduction import PLAIN, Told, bands, reduced

#: What white may be in numbers of 32 bits, and how far 99 of 100 pixels may be above it: a kernel
#: overshoots, and light beyond white is common where white is 1.
_WHITES = ((1.0, 8.0), (255.0, 1.25), (65535.0, 1.25))


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
    if (profile := info.get("icc_profile")) and isinstance(profile, bytes):
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
    image = reduced(image, preprocess, told)
    if image.mode in ("L", "CMYK") and image.info.get("icc_profile"):
        return crop_and_resize(image, preprocess)
    return crop_and_resize(image if image.mode == "RGB" else image.convert("RGB"), preprocess)


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
    for box, part in bands(image):
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
        raise unsupported("grey below zero")
    is_whole = mode == "I" or told.largest is not None
    for white, headroom in _WHITES[1:] if is_whole else _WHITES:
        if lightest <= white * headroom:
            return white
    if told.largest is None or lightest < told.largest / 32:
        raise unsupported("grey above 65535")
    return told.largest
