"""Which images are accepted: their formats, told by the first bytes, and their sizes."""

from __future__ import annotations

import os
from typing import Final

#: Largest file: some of Pillow's decoders read all of it into memory.
MAX_BYTES: Final = 64 << 20

#: Most pixels that are decoded for one image, and a quarter of the bytes that it may take
#: meanwhile, which keeps the whole process below 320 MB. JPEGs count after their cheap reduction
#: in the decoder, so that a 100-megapixel photo still fits.
MAX_PIXELS: Final = 60_000_000

#: How many bytes ``sniff`` needs.
HEADER_SIZE: Final = 32

#: Formats that are decoded, by Pillow's names, with the Pillow plugin that each needs.
#: Naming the plugin spares loading all forty of them for one WebP.
READABLE: Final = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "TIFF": "TiffImagePlugin",
    "AVIF": "AvifImagePlugin",
}

#: Names that claim an image: in a folder, such a file is reported even if it is broken.
IMAGE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".jxl", ".jp2"),
    }
)

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
)
_BRANDS: Final = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
}


def sniff(header: bytes) -> str | None:
    """The format that ``header`` begins, or None if it is no image format known here.

    The answer may be a format that can't be read (HEIC, JPEG XL, ...): see ``READABLE``.
    """
    for signature, name in _SIGNATURES:
        if header.startswith(signature):
            return name
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[4:8] == b"ftyp":
        # AVIF files may name the generic brand first and theirs among the compatible ones.
        brands = [header[start : start + 4] for start in range(8, len(header), 4)]
        if b"avif" in brands:
            return "AVIF"
        return _BRANDS.get(brands[0]) if brands else None
    return None


def claims_image(name: str) -> bool:
    """Whether a file's or an object's suffix is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
