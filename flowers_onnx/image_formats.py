"""Which images are accepted: their formats, told by the first bytes, and their sizes."""

from __future__ import annotations

import os
import struct
from typing import Final

#: Largest file: some of Pillow's decoders read all of it into memory.
MAX_BYTES: Final = 80 << 20

#: Most pixels that are decoded for one image, and a quarter of the bytes that it may take
#: meanwhile, which keeps the whole process below 320 MB. JPEGs count after their cheap reduction
#: in the decoder, so that a 100-megapixel photo still fits.
MAX_PIXELS: Final = 60_000_000

#: How many bytes ``sniff`` needs: a GIF's palette, or a long list of HEIF's brands.
HEADER_SIZE: Final = 1024

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

#: What ``sniff`` calls what a camera's sensor saw, whoever made the camera.
CAMERA_RAW: Final = "camera raw"
#: A TIFF whose first picture, the one that decoders take, is a small copy of a later one.
THUMBNAIL_FIRST: Final = "thumbnail-first TIFF"

#: Names that claim an image: in a folder, such a file is reported even if it is broken.
IMAGE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".mpo", ".png", ".apng", ".webp", ".gif"),
        *(".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs"),
        *(".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jph", ".jpm"),
    }
)

#: Names of camera raw files. In a folder these are passed over: a JPEG is often beside them.
RAW_SUFFIXES: Final = frozenset(
    {
        *(".3fr", ".arq", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff"),
        *(".gpr", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori"),
        *(".pef", ".raf", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f"),
    }
)

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    # Olympus, Panasonic and Leica, Fujifilm, Sigma, Minolta, Canon before its TIFFs.
    *((start, CAMERA_RAW) for start in (b"IIRO", b"IIRS", b"MMOR", b"IIU\x00", b"FUJIFILMCCD-RAW")),
    *((start, CAMERA_RAW) for start in (b"FOVb", b"\x00MRM", b"II\x1a\x00\x00\x00HEAPCCDR")),
    # What is no photo, but is told by its name where somebody asks for it.
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"gimp xcf", "GIMP"),
    (b"<svg", "SVG"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "ICO"),
    (b"icns", "ICNS"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"DDS ", "DDS"),
    (b"SIMPLE  =", "FITS"),
    (b"AT&TFORM", "DjVu"),
)
#: TIFFs whose header says that they are no pictures: Canon's, and Phase One's in both orders.
_RAW_TIFFS: Final = (b"CR\x02\x00", b"IIII", b"MMMM")

#: Brands of the ISO container that name what is inside; each is of one format.
_BRANDS: Final = {
    **dict.fromkeys((b"avif", b"avis", b"MA1A", b"MA1B"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "HEIC"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    **dict.fromkeys((b"avci", b"avcs", b"jpeg", b"jpgs", b"j2ki", b"j2is", b"vvic"), "HEIC"),
    b"crx ": CAMERA_RAW,
}
#: Brands that say only that pictures are inside.
_GENERIC_BRANDS: Final = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"})

#: Behind a JPEG's first two bytes: what a segment can be, and a frame or a scan.
_JPEG_MARKERS: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE, 0xFF})
_DIB_SIZES: Final = frozenset({12, *range(16, 65), 108, 124})
_BMP_BITS: Final = frozenset({0, 1, 2, 4, 8, 16, 24, 32, 64})


def sniff(header: bytes) -> str | None:
    """The format that ``header`` begins, or None if it is no image format known here.

    The answer may be a format that can't be read (HEIC, JPEG XL, ...): see ``READABLE``. A TIFF
    may be a camera's raw file: ``camera_raw.kind_of_tiff`` tells.
    """
    for signature, name in _SIGNATURES:
        if header.startswith(signature):
            return CAMERA_RAW if name == "TIFF" and header[8:12] in _RAW_TIFFS else name
    if header.startswith(b"BM"):  # so may a text: then the length of what follows is absurd
        return "BMP" if len(header) >= 18 and _uint32(header, 14) < 1 << 16 else None
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[4:8] == b"ftyp":
        return _of_brands(header)
    if header.startswith(b"<?xml") and b"<svg" in header:
        return "SVG"
    return None


def proven(header: bytes) -> str | None:
    """``sniff`` for a file that nothing calls an image: a photo's format, or None.

    A few bytes at the start are no proof: a text may begin with ``BM``, or with ``GIF89a``. Of a
    TIFF only ``camera_raw.kind_of_tiff`` can tell.
    """
    name = sniff(header)
    match name:
        case "JPEG":
            certain = len(header) > 3 and header[3] in _JPEG_MARKERS
        case "GIF":
            certain = _is_gif(header)
        case "BMP":
            certain = _is_bmp(header)
        case "WEBP":
            certain = header[12:16] in (b"VP8 ", b"VP8L", b"VP8X")
        case "JPEG XL" | "JPEG 2000":
            certain = header[8:12] == b"\r\n\x87\n" or header[:4] == b"\xff\x4f\xff\x51"
        case _:
            certain = name in {*READABLE, "HEIC", CAMERA_RAW}
    return name if certain else None


def why_unsupported(name: str) -> str:
    """What to do with an image of a format that isn't read."""
    if name == CAMERA_RAW:
        return "camera raw: export a JPEG, or use the one beside it"
    return f"{name} images are not supported; convert it to JPEG"


def claims_image(name: str) -> bool:
    """Whether a file's or an object's suffix is that of an image."""
    return _suffix(name) in IMAGE_SUFFIXES


def claims_raw(name: str) -> bool:
    """Whether a file's or an object's suffix is that of a camera's raw files."""
    return _suffix(name) in RAW_SUFFIXES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _uint32(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 4], "little")


def _of_brands(header: bytes) -> str | None:
    """By the brands of an ISO container: the first one, then the compatible ones."""
    size, start = int.from_bytes(header[:4]), 8
    if size == 1:  # it stands behind, in 64 bits
        size, start = int.from_bytes(header[8:16]), 16
    end = min(size or len(header), len(header))
    brands = [header[at : at + 4] for at in (start, *range(start + 8, end - 3, 4))]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    return "HEIC" if _GENERIC_BRANDS.intersection(brands) else None


def _is_gif(header: bytes) -> bool:
    """A screen, its colours, and then a frame, an extension or the end."""
    if len(header) < 13:
        return False
    flags = header[10]
    behind = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return header[behind : behind + 1] in {b"!", b",", b";"}


def _is_bmp(header: bytes) -> bool:
    if len(header) < 30:
        return False
    offset, size = _uint32(header, 10), _uint32(header, 14)
    planes, bits = struct.unpack_from("<HH", header, 22 if size == 12 else 26)
    return size in _DIB_SIZES and planes == 1 and bits in _BMP_BITS and offset >= 14 + size
