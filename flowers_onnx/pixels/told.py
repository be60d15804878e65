"""What a file says of its pixels, and Pillow forgets when it loads them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Told:
    """Facts beside a loaded image; those of most files are ``PLAIN``.

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

#: Pillow spreads the grey of PNG over 8 bits, and shortens colours to them, but not the value
#: that stands for transparency.
_SPREAD = {"L;2": 85, "L;4": 17}


def told_by(image: Image.Image) -> Told:
    """Of an image that isn't loaded yet; of one that is, less is known."""
    match image.format:
        case "PNG":
            return _told_by_png(image)
        case "GIF":
            return _told_by_gif(image)
        case "BMP":
            return Told(may_lack_alpha=True)
        case "TIFF":
            from flowers_onnx.pixels.tiff import told_by_tiff

            return told_by_tiff(image)
    return PLAIN


def _tile(image: Image.Image) -> tuple[Box | None, object]:
    """Where the decoder will draw, and Pillow's name of what it draws."""
    for tile in getattr(image, "tile", ()):
        return tile[1], tile[3]
    return None, None


def _told_by_png(image: Image.Image) -> Told:
    clear, (_, raw_mode) = image.info.get("transparency"), _tile(image)
    if isinstance(clear, int) and raw_mode in _SPREAD:
        return Told(clear=clear * _SPREAD[str(raw_mode)])
    if isinstance(clear, tuple) and raw_mode == "RGB;16B":
        return Told(clear=tuple(value >> 8 for value in clear))
    return PLAIN


def _told_by_gif(image: Image.Image) -> Told:
    box, _ = _tile(image)
    return PLAIN if box in (None, (0, 0, *image.size)) else Told(drawn=box)
