"""A loaded image over white and made smaller, a part at a time, so that this stays cheap."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from flowers_onnx.metadata import Preprocess

#: The decoder may leave an image this many times larger than needed, never less: a
#: reduction in the JPEG decoder down to the very size would cost accuracy.
HEADROOM = 2

#: These are averaged as they are; what others become for it, where it isn't RGB.
_PLAIN, _AVERAGED = {"RGB", "L", "CMYK", "RGBX"}, {"1": "L"}
#: Pixels that are converted at a time.
_BAND = 1 << 20


Box = tuple[int, int, int, int]


class Told:
    """What a file says of its pixels and Pillow forgets; of most files, ``PLAIN``.

    ``white``: the number that is white, in grey of more than 8 bits; None if it isn't told.
    ``largest``: the largest number that there could be, where white isn't told.
    ``is_negative``: the largest number is black, and Pillow hasn't turned that round.
    ``clear``: the value that stands for transparency, in the numbers that Pillow gives.
    ``drawn``: the part of the canvas that the first frame covers; the rest is transparent.
    ``may_lack_alpha``: an alpha channel of zeros alone is none.
    """

    def __init__(
        self, *, white: float | None = None, largest: float | None = None,
        is_negative: bool = False, clear: int | tuple[int, ...] | None = None,
        drawn: Box | None = None, may_lack_alpha: bool = False,
    ) -> None:  # fmt: skip
        self.white, self.largest, self.is_negative = white, largest, is_negative
        self.clear, self.drawn, self.may_lack_alpha = clear, drawn, may_lack_alpha


PLAIN = Told()


def reduced(image: Image.Image, preprocess: Preprocess, told: Told = PLAIN) -> Image.Image:
    """Shrink a large image by a whole factor; what is transparent becomes white before.

    The result has one of the modes RGB, L, CMYK and RGBX: the pixels are those of an image
    that was converted whole.
    """
    side = min(image.size) * preprocess.crop_fraction
    factor = max(1, int(side // (HEADROOM * preprocess.size)))
    is_clear = bool(told.drawn) or image.has_transparency_data or image.mode in ("La", "RGBa")
    if not is_clear and image.mode in _PLAIN:
        return image.reduce(factor) if factor > 1 else image
    if factor == 1 and not told.drawn:
        image = _middle(image)
    mode = "RGB" if is_clear else _AVERAGED.get(image.mode, "RGB")
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    small.info = image.info
    for (_, top, _, _), part in bands(image, factor):
        whole = _over_white(part, top, told) if is_clear else part.convert(mode)
        small.paste(whole.reduce(factor) if factor > 1 else whole, (0, top // factor))
    return small


def _middle(image: Image.Image) -> Image.Image:
    """What the centred square of a long image needs: as far from it on both sides as before."""
    width, height = image.size
    margin = min(width, height) // 8 + 2  # kernels read beyond the square
    left, top = max(0, (width - height) // 2 - margin), max(0, (height - width) // 2 - margin)
    return image.crop((left, top, width - left, height - top)) if left or top else image


def bands(image: Image.Image, multiple: int = 1) -> Iterator[tuple[Box, Image.Image]]:
    """Copies of all of ``image`` from top to bottom, of a multiple of so many rows each."""
    width, height = image.size
    rows = max(1, _BAND // (width * multiple)) * multiple
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        yield box, image.crop(box)


def _over_white(part: Image.Image, top: int, told: Told) -> Image.Image:
    """A band that begins at row ``top``, in RGB; only what is drawn of it."""
    if told.clear is not None:
        part.info["transparency"] = told.clear
    # There is no way from premultiplied grey to RGBA at once.
    opaque = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
    alpha = opaque.getchannel("A")
    if told.drawn:
        left, first, right, last = told.drawn
        box = (left, max(0, first - top), right, min(part.height, last - top))
        drawn = Image.new("L", part.size)
        if box[1] < box[3]:
            drawn.paste(alpha.crop(box), box[:2])
        alpha = drawn
    white = Image.new("RGB", part.size, "white")
    white.paste(opaque, mask=alpha)
    return white
