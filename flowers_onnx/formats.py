"""Which image format some bytes are, told by their first bytes and never by a file's name."""

from __future__ import annotations

from typing import Final

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
