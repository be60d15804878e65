"""What a file says of its pixels, and Pillow forgets when it loads them."""

from __future__ import annotations

from PIL import Image

from flowers_onnx.pixels.reduction import PLAIN, Box, Told

#: Pillow spreads the grey of PNG over 8 bits, and shortens colours to them, but not the value
#: that stands for transparency.
_SPREAD = {"L;2": 85, "L;4": 17}


def told_by(image: Image.Image) -> Told:
    """Of an image that isn't loaded yet; of one that is, less is known."""
    match image.format:
        case "PNG":
            return _told_by_png(image)
        case "GIF" | "WEBP":
            return _told_by_frame(image)
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


def _told_by_frame(image: Image.Image) -> Told:
    box, _ = _tile(image)
    return PLAIN if box in (None, (0, 0, *image.size)) else Told(drawn=box)
