"""Two hundred files that image programs have choked on, made here from nothing."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

#: What each family should give: "ok", or the code of the error.
Expectation = str | tuple[str, ...]


def gradient(width: int, height: int) -> Image.Image:
    """A picture with structure in all channels."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A tiny PNG that declares any size: the header of a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000, 9)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bomb_gif(side: int) -> bytes:
    """A GIF whose screen is ``side`` pixels square and whose only frame is missing."""
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + b"\0" * 6 + b";"


def jpeg_in_scans(side: int) -> bytes:
    """A sequential JPEG whose first scan claims to hold one component of three."""
    data = encode(Image.new("RGB", (side, side), "teal"), "JPEG")
    at = data.index(b"\xff\xda")
    return data[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + data[at + 14 :]


def tiff_with_a_huge_tile(side: int) -> bytes:
    """A small TIFF that declares a tile of ``side`` pixels square."""
    tags = [(256, 100), (257, 100), (258, 8), (259, 1), (262, 1), (277, 1),
            (322, side), (323, side), (324, 200), (325, side * side)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(5000)


#: Images near the limits of what is decoded, by name; each must stay within the memory.
HEAVY: dict[str, Callable[[], bytes]] = {
    "limit.webp": lambda: encode(gradient(3860, 3860), "WEBP", quality=20, method=0),
    "limit.png": lambda: encode(Image.new("RGB", (7740, 7740), "teal"), "PNG", compress_level=1),
    "deep.png": lambda: encode(
        Image.fromarray(np.zeros((6300, 6300), np.uint16)), "PNG", compress_level=1
    ),
    "palette.png": lambda: encode(
        Image.new("P", (6000, 4000)), "PNG", compress_level=1, transparency=bytes(range(256))
    ),
    "cmyk.jpg": lambda: encode(
        Image.new("CMYK", (5400, 5400), (9, 80, 70, 0)), "JPEG", progressive=True
    ),
    "scans.jpg": lambda: jpeg_in_scans(12_000),
    "tile.tif": lambda: tiff_with_a_huge_tile(12_000),
}


def make(folder: Path) -> Iterator[tuple[str, Expectation]]:  # noqa: C901, PLR0915  a long list
    """Write the files into ``folder``; yields each name and what it should give."""
    rng = random.Random(0)
    base = gradient(300, 200)
    jpeg = encode(base, "JPEG", quality=90)
    written = 0

    def write(name: str, data: bytes, expected: Expectation) -> tuple[str, Expectation]:
        nonlocal written
        full = f"{written:03d}-{name}"
        written += 1
        (folder / full).write_bytes(data)
        return full, expected

    for mode, format, suffix in [
        ("CMYK", "JPEG", "jpg"), ("L", "JPEG", "jpg"), ("P", "PNG", "png"), ("1", "PNG", "png"),
        ("LA", "PNG", "png"), ("RGBA", "PNG", "png"), ("I;16", "PNG", "png"), ("P", "GIF", "gif"),
        ("RGB", "BMP", "bmp"), ("RGB", "TIFF", "tif"), ("CMYK", "TIFF", "tif"),
        ("F", "TIFF", "tif"), ("I", "TIFF", "tif"), ("LAB", "TIFF", "tif"),
        ("RGB", "WEBP", "webp"), ("RGBA", "WEBP", "webp"), ("RGB", "AVIF", "avif"),
        ("YCbCr", "TIFF", "tif"), ("I;16", "TIFF", "tif"),
    ]:  # fmt: skip
        source = base.convert("L") if mode in ("I;16", "I", "F") else base
        if mode == "I;16":
            image = Image.fromarray(np.asarray(source, np.uint16) * 257)
        elif mode == "LAB":
            image = Image.new("LAB", base.size, (120, 130, 140))
        else:
            image = source.convert(mode)
        yield write(f"{mode.replace(';', '')}.{suffix}", encode(image, format), "ok")
    transparent = base.convert("P")
    yield write("palette-alpha.png", encode(transparent, "PNG", transparency=3), "ok")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield write(f"exif-{orientation}.jpg", encode(base, "JPEG", exif=exif), "ok")
    exif = Image.Exif()
    exif[0x0112] = 77
    yield write("exif-nonsense.jpg", encode(base, "JPEG", exif=exif), "ok")
    yield write(
        "exif-broken.jpg", encode(base, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), "ok"
    )
    for name, size in [("1x1", (1, 1)), ("1x20000", (1, 20000)), ("20000x1", (20000, 1)),
                       ("2x3", (2, 3)), ("9x4000", (9, 4000))]:  # fmt: skip
        for format in ("PNG", "JPEG"):
            yield write(f"{name}.{format.lower()}", encode(gradient(*size), format), "ok")
    frames = [gradient(60, 60), Image.new("RGB", (60, 60), "red")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encode(frames[0], format, save_all=True, append_images=frames[1:])
        yield write(f"animated.{format.lower()}", data, "ok")
    yield write("progressive.jpg", encode(gradient(4000, 3000), "JPEG", progressive=True), "ok")
    yield write("twelve-megapixels.jpg", encode(gradient(4000, 3000), "JPEG"), "ok")
    yield write(
        "twelve-megapixels.png", encode(gradient(4000, 3000), "PNG", compress_level=1), "ok"
    )
    yield write(
        "hundred-megapixels.jpg", encode(Image.new("RGB", (12000, 8000), "teal"), "JPEG"), "ok"
    )
    yield write("wrong-name.png", jpeg, "ok")
    yield write("trailing-rubbish.jpg", jpeg + b"x" * 5000, "ok")
    yield write("upper.JPG", jpeg, "ok")

    yield write("empty.jpg", b"", "is_empty")
    yield write("text.jpg", b"This is no image.\n" * 50, "not_an_image")
    yield write("html.png", b"<!doctype html><title>404</title>", "not_an_image")
    yield write("zeros.jpg", bytes(5000), "not_an_image")
    # Without and with the extra that reads them.
    empty = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)
    yield write("photo.heic", empty, ("unsupported", "corrupt"))
    yield write("photo.jxl", b"\xff\x0a" + bytes(500), "unsupported")
    yield write("bomb.png", png_of_size(50_000, 50_000), "too_large")
    yield write("big.png", png_of_size(8000, 8000), "too_large")
    yield write("scans.jpg", jpeg_in_scans(12_000), ("too_large", "corrupt"))
    yield write("tile.tif", tiff_with_a_huge_tile(12_000), ("too_large", "corrupt"))
    yield write("bomb.gif", bomb_gif(65_535), ("too_large", "truncated", "corrupt"))
    yield write("bmp-huge.bmp", b"BM" + bytes(16) + struct.pack("<iiHHI", 60_000, 60_000, 1, 24, 0)
                + bytes(20), ("too_large", "corrupt"))  # fmt: skip
    failing = ("truncated", "corrupt")
    encoded = {
        "jpg": jpeg,
        "png": encode(base, "PNG"),
        "webp": encode(base, "WEBP"),
        "gif": encode(base.convert("P"), "GIF"),
        "tif": encode(base, "TIFF", compression="tiff_lzw"),
        "avif": encode(base, "AVIF"),
        "bmp": encode(base, "BMP"),
    }
    for suffix, data in encoded.items():
        for share in (0.1, 0.5, 0.9):
            # A GIF or an AVIF may be whole long before its file ends.
            expected = (*failing, "ok") if suffix in ("gif", "avif", "webp") else failing
            yield write(f"cut-{share}.{suffix}", data[: int(len(data) * share)], expected)
        yield write(f"header-only.{suffix}", data[:32], failing)
    anything = ("ok", *failing, "not_an_image", "too_large", "unsupported", "is_empty")
    while written < 200:
        suffix, data = rng.choice(sorted(encoded.items()))
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 40)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        yield write(f"damaged.{suffix}", bytes(damaged), anything)
