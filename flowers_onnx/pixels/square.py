"""From a loaded image of any mode and size to the RGB square that the network takes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels.errors import decoding_error
from flowers_onnx.pixels.reduction import reduced


def crop_and_resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The centred square of ``image``, resized; one resize reads straight from the box."""
    width, height = image.size
    side = min(width, height) * preprocess.crop_fraction
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    kernel = Image.Resampling[preprocess.kernel.upper()]
    return image.resize((preprocess.size, preprocess.size), kernel, box=box)


def square(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shrink a loaded image to an RGB square of the input size."""
    try:
        if image.mode.startswith("I") or image.mode == "F":
            scale = _scale_to_8_bits(image)
            grey = np.nan_to_num(np.asarray(crop_and_resize(image.convert("F"), preprocess)))
            return Image.fromarray((grey * scale).clip(0, 255).astype(np.uint8)).convert("RGB")
        return crop_and_resize(_to_rgb(reduced(image, preprocess)), preprocess)
    except Exception as error:
        raise decoding_error(error) from error


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
