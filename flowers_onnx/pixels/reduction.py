"""A loaded image made smaller before its mode is converted, so that this stays cheap."""

from __future__ import annotations

from PIL import Image

from flowers_onnx.metadata import Preprocess

#: The decoder may leave an image this many times larger than needed, never less: a
#: reduction in the JPEG decoder down to the very size would cost accuracy.
HEADROOM = 2

#: These are averaged as they are.
_PLAIN = {"RGB", "L", "CMYK", "RGBX"}
#: What averaging makes of others, where it isn't RGB.
_AVERAGED = {"LA": "LA", "La": "LA", "1": "L"}
#: Pixels that are converted at a time.
_STRIP = 1 << 20


def reduced(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shrink a large image by a whole factor; its mode becomes one that can be averaged."""
    side = min(image.size) * preprocess.crop_fraction
    factor = int(side // (HEADROOM * preprocess.size))
    is_plain = image.mode in _PLAIN and "transparency" not in image.info
    if factor < 2:
        return image if is_plain else _middle(image)
    return image.reduce(factor) if is_plain else _reduced_in_strips(image, factor)


def _middle(image: Image.Image) -> Image.Image:
    """What the centred square of a long image needs: as far from it on both sides as before."""
    width, height = image.size
    margin = min(width, height) // 8
    left, top = max(0, (width - height) // 2 - margin), max(0, (height - width) // 2 - margin)
    return image.crop((left, top, width - left, height - top)) if left or top else image


def _reduced_in_strips(image: Image.Image, factor: int) -> Image.Image:
    """The same pixels as if all of the image were converted first."""
    width, height = image.size
    if "transparency" in image.info or image.mode in {"PA", "RGBa", "RGBA"}:
        mode = "RGBA"
    else:
        mode = _AVERAGED.get(image.mode, "RGB")
    small = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = max(1, _STRIP // (width * factor)) * factor
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))).convert(mode)
        small.paste(strip.reduce(factor), (0, top // factor))
    return small
