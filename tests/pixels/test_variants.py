"""Variants of formats: valid ones that can't be read say so, odd ones are told by content."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image

from flowers_onnx import Classifier, Failure, ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode, prepare

PREPROCESS = Preprocess(64, 0.875, "bilinear")
JPEG = encode(gradient(150, 90), "JPEG")
SOF = JPEG.index(b"\xff\xc0")


def decoded(data: bytes, max_pixels: int = 10_000_000) -> Decoded:
    return decode(io.BytesIO(data), PREPROCESS, max_pixels)


def frame(marker: int = 0xC0, bits: int = 8, height: int = 90, components: int = 3) -> bytes:
    """The JPEG as if it were another variant."""
    content = struct.pack(">BHHB", bits, height, 150, components)
    content += b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    head = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return JPEG[:SOF] + head + JPEG[SOF + 19 :]


def bmp(bits: int = 24, compression: int = 0, header: int = 40, masks: bytes = b"") -> bytes:
    content = struct.pack("<IiiHHIIiiII", header, 8, 8, 1, bits, compression, 0, 0, 0, 0, 0)
    content += masks + bytes(256 + 1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(content), 0, 0, 54 + len(masks)) + content


def apple_png() -> bytes:
    png = encode(gradient(9, 9), "PNG")
    body = b"CgBI\x50\0\x20\2"
    return png[:8] + b"\0\0\0\4" + body + struct.pack(">I", zlib.crc32(body)) + png[8:]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (frame(bits=12), "12-bit JPEG"),
        (frame(0xC1, bits=12), "12-bit JPEG"),
        (frame(0xC3, bits=16), "16-bit JPEG"),
        *((frame(marker), "a hierarchical JPEG") for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xDE)),
        (frame(0xCB), "a lossless JPEG in arithmetic coding"),
        (frame(components=2), "a JPEG of two colours"),
        (frame(height=0), "a JPEG that tells its height behind its pixels"),
        (JPEG[:2] + b"\xff\xf7\0\x0b\x08\0\x5a\0\x96\1\1\x11\0" + JPEG[-9:], "JPEG-LS"),
        (apple_png(), "Apple's own variant of PNG (CgBI)"),
        (bmp(32, 3, masks=struct.pack("<III", 0x3FF00000, 0xFFC00, 0x3FF)), "this variant of BMP"),
        (bmp(16, 3, masks=struct.pack("<III", 0xF00, 0xF0, 0xF)), "this variant of BMP"),
        (bmp(0, 4), "a BMP with a JPEG or PNG in it"),
        (bmp(0, 5), "a BMP with a JPEG or PNG in it"),
        (bmp(2), "this variant of BMP"),
        (bmp(32, 11), "this variant of BMP"),
        (bmp(header=16), "an OS/2 BMP with a short header"),
    ],
)
def test_valid_but_not_supported(data: bytes, what: str) -> None:
    with pytest.raises(ImageError) as caught:
        decoded(data)
    assert caught.value.code == "unsupported"
    assert str(caught.value) == (
        f"{what} is not supported; convert it to an ordinary (8-bit) JPEG or PNG"
    )


def test_no_variant_at_all() -> None:
    for data in (bmp(7), bmp(24, 99), bmp(header=99), frame(bits=99), frame(components=0)):
        with pytest.raises(ImageError, match=r"the file is damaged: its picture can't be decoded"):
            decoded(data)


def test_a_jpeg_is_told_by_its_content_wherever_pillow_stops() -> None:
    """Baseline is baseline, with more pictures, fill bytes, and rubbish; and costs no more."""
    large = encode(gradient(1200, 800), "JPEG", quality=90)
    at = large.index(b"\xff\xda")
    entries = struct.pack(">LLLHH", 0x030000, len(large), 0, 0, 0)
    entries += struct.pack(">LLLHH", 0, len(JPEG), len(large), 0, 0)
    directory = struct.pack(">H", 3) + struct.pack(">HHL4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(">HHLL", 0xB001, 4, 1, 2)
    directory += struct.pack(">HHLL", 0xB002, 7, len(entries), 50) + bytes(4)
    body = b"MPF\0MM\0*\0\0\0\x08" + directory + entries
    mpf = b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    left = 300 * 200  # an eighth would be too few
    plain = decoded(large, left)
    for data in (
        large[:2] + mpf + large[2:] + JPEG,
        large[:2] + mpf + large[2:] + encode(gradient(99, 99), "JPEG", progressive=True) * 30,
        large[:at] + b"\xff" * 40 + large[at:],
        large[:2] + (b"\xff\xef\xff\xff" + bytes(65533)) * 3 + large[2:],
        large + large,
    ):
        assert (decoded(data, left).pixels == plain.pixels).all()
    scans = encode(gradient(1200, 800), "JPEG", quality=90, progressive=True)
    for data in (scans, scans[:2] + mpf + scans[2:] + JPEG):
        with pytest.raises(ImageError, match="1200 x 800 pixels are too many"):
            decoded(data, left)


def test_a_gif_is_measured_with_its_first_frame() -> None:
    palette = bytes(range(6))

    def gif(width: int, height: int, left: int = 0) -> bytes:
        place = struct.pack("<HHHH", left, 0, width, height)
        return b"GIF89a\x08\0\x08\0\x80\0\0" + palette + b"," + place + b"\0\2\2\x4c\1\0;"

    for data in (gif(30_000, 30_000), gif(9_000, 9_000), gif(8, 8, 65_000), gif(65_000, 1000)):
        with pytest.raises(ImageError, match="are too many to decode") as caught:
            decoded(data, 60_000)
        assert caught.value.code == "too_large"


def test_a_lossless_jpeg_is_not_reduced_in_its_decoder() -> None:
    """Its decoder can't; this one, of one grey, is made by hand: all differences are none."""
    width, height = 640, 480
    header = bytes([0xFF, 0xC3]) + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    table = b"\xff\xc4" + struct.pack(">H", 20) + b"\0\1" + bytes(15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\1\0\0"
    data = b"\xff\xd8" + header + table + scan + bytes(width * height // 8) + b"\xff\xd9"
    assert (decoded(data).pixels == 128).all()


@pytest.mark.parametrize(
    ("steps", "mode"),
    [
        (["P"], "RGB"),
        (["P", "PA"], "RGBA"),
        (["L", "1"], "L"),
        (["YCbCr"], "RGB"),
        (["HSV"], "RGB"),
        (["RGBA", "RGBa"], "RGBA"),
    ],
)
def test_modes_are_converted_a_strip_at_a_time(steps: list[str], mode: str) -> None:
    """As if all of it was."""
    image = gradient(1501, 1203)
    for step in steps:
        image = image.convert(step)
    whole = image.convert(mode)
    assert (prepare(image, PREPROCESS).pixels == prepare(whole, PREPROCESS).pixels).all()


def test_a_clear_colour_is_told_before_pixels_are_averaged() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = (200, 0, 0)
    image = Image.fromarray(stripes)
    image.info["transparency"] = (0, 0, 0)
    pixels = prepare(image, PREPROCESS).pixels
    assert np.abs(pixels.astype(int) - (227, 127, 127)).max() <= 30
    long = Image.new("P", (5000, 40), 1)
    long.putpalette([0, 0, 0, 200, 0, 0])
    long.info["transparency"] = 0
    assert (prepare(long, PREPROCESS).pixels == (200, 0, 0)).all()


def test_the_limit_is_said_with_what_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encode(gradient(60, 40), "PNG"))
    (failure,) = Classifier(max_pixels=1000).classify_many([path])
    assert isinstance(failure, Failure)
    assert "(limit 1,000: it takes --max_pixels 2400)" in failure.message
    (result,) = Classifier(max_pixels=2400).classify_many([path])
    assert result.ok
