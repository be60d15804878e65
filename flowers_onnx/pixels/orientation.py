"""How a photo must be turned to be upright."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from PIL import Image

_TAG = 0x0112
_EXIF = {"exif", "Raw profile type exif"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """``image`` turned as ``orientation`` says; an unknown one turns nothing."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def displayed_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height as displayed, in pixels."""
    return size[::-1] if orientation in _SIDEWAYS else size


def orientation_of(image: Image.Image) -> int:
    """How a loaded image must be turned: 1 for not at all, never an error.

    EXIF says so, a PNG's text chunk of EXIF where there is no other, or XMP where EXIF is silent.
    An AVIF is turned by its own properties alone, which Pillow hands on as EXIF; a HEIC, by the
    same, is upright already.
    """
    try:
        with _reading(image):
            if image.format == "AVIF":
                exif = Image.Exif()
                exif.load(image.info.get("exif", b""))
            else:
                exif = image.getexif()
            value = exif.get(_TAG)
    except Exception:  # broken EXIF is common, and no reason to lose the photo
        return 1
    return value if isinstance(value, int) else 1


def _reading(image: Image.Image) -> AbstractContextManager[None]:
    """Quiet, where there is EXIF: Pillow warns of what is broken in it."""
    if not _EXIF & image.info.keys() and not hasattr(image, "tag_v2"):
        return nullcontext()
    from flowers_onnx.pixels.quiet import quietly

    return quietly()
