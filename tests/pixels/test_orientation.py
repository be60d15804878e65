"""What turns a photo, in each format that can say so, and what doesn't."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode

PREPROCESS = Preprocess(32, 1.0, "bilinear")
STORED = gradient(80, 60)
RIGHT, DOWN = 6, 3
TURNED = {
    1: STORED,
    DOWN: STORED.transpose(Image.Transpose.ROTATE_180),
    RIGHT: STORED.transpose(Image.Transpose.ROTATE_270),
}


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def tag(kind: int, content: bytes, count: int = 1) -> bytes:
    """EXIF whose Orientation is of any type."""
    entry = struct.pack("<HHI", 0x0112, kind, count) + content.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def xmp(orientation: int, *, as_element: bool = False) -> bytes:
    says = f'tiff:Orientation="{orientation}"'
    if as_element:
        says = f"><tiff:Orientation>{orientation}</tiff:Orientation"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {says}/></x:xmpmeta>'.encode()


def turned(data: bytes) -> int:
    """Which of ``TURNED`` a file shows; its size must agree."""
    decoded = decode(io.BytesIO(data), PREPROCESS)
    (found,) = [
        orientation
        for orientation, image in TURNED.items()
        if (decoded.width, decoded.height) == image.size
        and np.abs(decoded.pixels.astype(int) - square_of(image)).mean() < 12
    ]
    return found


def square_of(image: Image.Image) -> np.ndarray:
    return decode(io.BytesIO(encode(image, "PNG")), PREPROCESS).pixels


def saved(format: str, **metadata: bytes) -> bytes:
    """``STORED`` with ``exif`` and ``xmp``."""
    if format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        if "xmp" in metadata:
            text.add_itxt("XML:com.adobe.xmp", metadata.pop("xmp").decode())
        return encode(STORED, "PNG", pnginfo=text, **metadata)
    if format == "TIFF":
        tags: dict[int, int | bytes] = {}
        if "xmp" in metadata:
            tags[700] = metadata["xmp"]
        block = Image.Exif()
        block.load(metadata.get("exif", b""))
        return encode(STORED, "TIFF", tiffinfo=tags | dict(block))
    return encode(STORED, format, **metadata)


ALL = ("JPEG", "PNG", "WEBP", "TIFF")


@pytest.mark.parametrize("format", [*ALL, "AVIF"])
def test_exif_turns_it(format: str) -> None:
    assert turned(saved(format, exif=exif(RIGHT))) == RIGHT


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("as_element", [False, True])
def test_xmp_turns_it_where_exif_is_silent(format: str, as_element: bool) -> None:
    said = xmp(RIGHT, as_element=as_element)
    assert turned(saved(format, xmp=said)) == RIGHT
    assert turned(saved(format, xmp=said, exif=exif(DOWN))) == DOWN
    assert turned(saved(format, xmp=said, exif=exif(1))) == 1


def test_an_avif_is_turned_by_its_properties_alone() -> None:
    assert turned(saved("AVIF", xmp=xmp(RIGHT))) == 1
    assert turned(saved("AVIF", xmp=xmp(RIGHT), exif=exif(DOWN))) == DOWN
    # Pillow makes a property of EXIF's; of what it doesn't know, this is made behind its back.
    other = exif(RIGHT).replace(b"\x01\x12", b"\x01\x13")
    data = saved("AVIF", exif=other)
    assert data.count(other[6:]) == 1
    assert turned(data.replace(other[6:], exif(RIGHT)[6:])) == 1


def heif(orientation: int) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    STORED.info["exif"] = exif(orientation)
    try:
        file = io.BytesIO()
        pillow_heif.from_pillow(STORED).save(file, quality=95)
    finally:
        del STORED.info["exif"]
    return file.getvalue()


def test_a_heic_is_turned_once() -> None:
    # The package turns what it is given, and says that it must be turned: twice, a half turn.
    assert turned(heif(RIGHT)) == DOWN
    # Without the property, EXIF alone says nothing: it lies as it is stored, on its side.
    assert turned(heif(RIGHT).replace(b"irot", b"free")) == RIGHT


@pytest.mark.parametrize("value", [0, 9, 77, 65535])
def test_a_value_that_means_nothing(value: int) -> None:
    for format in ("JPEG", "PNG", "WEBP"):
        assert turned(saved(format, exif=tag(3, struct.pack("<H", value)))) == 1


@pytest.mark.parametrize(
    "block",
    [
        tag(2, b"6\0", 2),  # text
        tag(1, b"\6"),  # a byte
        tag(5, b"\xff\xff\xff\xff"),  # a fraction that isn't there
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0rubbish",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_broken_exif_turns_nothing(block: bytes) -> None:
    for format in ("JPEG", "WEBP"):
        assert turned(saved(format, exif=block)) == 1


def test_a_longer_number_than_the_standard_has() -> None:
    assert turned(saved("JPEG", exif=tag(4, struct.pack("<I", RIGHT)))) == RIGHT


def test_exif_in_two_segments() -> None:
    """One block cut in two, and a second one of its own, which is ignored."""
    plain, block = saved("JPEG"), exif(RIGHT)[6:]

    def segments(*parts: bytes) -> bytes:
        blocks = [b"Exif\0\0" + part for part in parts]
        written = b"".join(b"\xff\xe1" + struct.pack(">H", len(b) + 2) + b for b in blocks)
        return plain[:2] + written + plain[2:]

    assert turned(segments(block[:20], block[20:])) == RIGHT
    assert turned(segments(block, exif(DOWN)[6:])) == RIGHT


def test_webp_with_the_prefix_of_jpeg_and_without() -> None:
    with_prefix, without = saved("WEBP", exif=exif(RIGHT)), saved("WEBP", exif=exif(RIGHT)[6:])
    assert (turned(with_prefix), turned(without)) == (RIGHT, RIGHT)


def png(*, before: bytes = b"", behind: bytes = b"") -> bytes:
    plain = encode(STORED, "PNG")
    start, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    return plain[:start] + before + plain[start:end] + behind + plain[end:]


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def test_exif_behind_the_pixels_of_a_png() -> None:
    assert turned(png(behind=chunk(b"eXIf", exif(RIGHT)[6:]))) == RIGHT


def raw_profile(orientation: int) -> bytes:
    """As ImageMagick wrote EXIF before PNG had a chunk for it."""
    block = exif(orientation)
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


def test_an_old_text_chunk_of_exif() -> None:
    assert turned(png(before=raw_profile(RIGHT))) == RIGHT
    assert turned(png(before=raw_profile(RIGHT) + chunk(b"eXIf", exif(DOWN)[6:]))) == DOWN
    broken = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\nno hex\n"))
    assert turned(png(before=broken)) == 1
