"""PNG, GIF, BMP and others of few or many bits, and what is transparent in them: always white."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from odd_images import encode
from PIL import Image, features

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode, prepare, reduction

Array = npt.NDArray[np.integer]

SIDE = 48
PREPROCESS = Preprocess(SIDE, 1.0, "nearest")
_across = np.linspace(0, 255, SIDE)[None, :].repeat(SIDE, 0)
GREY = ((_across + _across.T) / 2).astype(int)
GREY[8:20, 10:30], GREY[40:] = 220, 0
COLOURS = np.dstack([_across, _across.T, 255 - _across]).astype(int)
COLOURS[8:20, 10:30], COLOURS[40:] = (200, 30, 60), (5, 5, 5)
ALPHA = np.full((SIDE, SIDE), 255)
ALPHA[30:36], ALPHA[36:] = 128, 0
GREY_PNG, RGB_PNG, PALETTE_PNG, GREY_ALPHA_PNG, RGBA_PNG = 0, 2, 3, 4, 6


def is_read_as(data: bytes, expected: npt.NDArray[np.generic], within: float = 1) -> bool:
    pixels = decode(io.BytesIO(data), PREPROCESS).pixels.astype(float)
    wanted = expected if expected.ndim == 3 else np.dstack([expected] * 3)
    return bool(np.abs(pixels - wanted).max() <= within)


def over_white(colours: Array) -> npt.NDArray[np.float64]:
    share = ALPHA[..., None] / 255
    return np.asarray(colours * share + 255 * (1 - share))


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(values: Array, depth: int, kind: int, **chunks: bytes) -> bytes:
    """``chunks`` come before the pixels, by name."""
    rows = b""
    for row in values.reshape(len(values), -1).tolist():
        text = "".join(f"{value:0{depth}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, kind, 0, 0, 0)
    before = b"".join(chunk(name.encode(), content) for name, content in chunks.items())
    content = chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_with_a_clear_value(depth: int) -> None:
    most = (1 << depth) - 1
    values = GREY * most // 255
    plain = values * 255 / most
    assert is_read_as(png(values, depth, GREY_PNG), plain)
    for clear in (0, most, int(values[10, 15])):
        expected = np.where(values == clear, 255, plain)
        data = png(values, depth, GREY_PNG, tRNS=struct.pack(">H", clear))
        assert is_read_as(data, expected)


def test_a_large_image_is_cleared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "_BAND", 5 * SIDE)
    test_grey_png_with_a_clear_value(16)
    test_grey_png_with_a_clear_value(4)
    test_coloured_png_with_a_clear_colour(8)
    test_what_a_first_frame_leaves_free_is_white(2)


@pytest.mark.parametrize("depth", [8, 16])
def test_coloured_png_with_a_clear_colour(depth: int) -> None:
    scale = 1 if depth == 8 else 257
    values = COLOURS * scale
    if depth == 16:
        values[40:] = (0x1234, 0x00FF, 0xFF00)
    for clear in (values[10, 15], values[45, 5]):
        expected = np.where((values == clear).all(-1)[..., None], 255, values / scale)
        data = png(values, depth, RGB_PNG, tRNS=struct.pack(">3H", *clear.tolist()))
        assert is_read_as(data, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_png(depth: int) -> None:
    most = (1 << depth) - 1
    values = GREY * most // 255
    levels = np.arange(most + 1)
    palette = np.stack([levels * 255 // most, 255 - levels * 255 // most, levels * 0], axis=-1)
    content = palette.astype(np.uint8).tobytes()
    assert is_read_as(png(values, depth, PALETTE_PNG, PLTE=content), palette[values])
    alpha = np.full(most + 1, 255)
    alpha[:2] = (0, 128)
    share = alpha[values][..., None] / 255
    expected = palette[values] * share + 255 * (1 - share)
    assert is_read_as(png(values, depth, PALETTE_PNG, PLTE=content, tRNS=b"\0\x80"), expected)


@pytest.mark.parametrize("depth", [8, 16])
def test_png_with_alpha(depth: int) -> None:
    scale = 1 if depth == 8 else 257
    grey = np.dstack([GREY, ALPHA]) * scale
    assert is_read_as(png(grey, depth, GREY_ALPHA_PNG), over_white(np.dstack([GREY] * 3)))
    colours = np.dstack([COLOURS, ALPHA]) * scale
    assert is_read_as(png(colours, depth, RGBA_PNG), over_white(COLOURS))


def test_an_image_of_pillow_is_read_like_its_file() -> None:
    values = GREY * 15 // 255
    data = png(values, 4, GREY_PNG, tRNS=struct.pack(">H", int(values[10, 15])))
    with Image.open(io.BytesIO(data)) as image:
        told = dict(image.info)
        pixels = prepare(image, PREPROCESS).pixels
        assert (pixels == decode(io.BytesIO(data), PREPROCESS).pixels).all()
        assert image.info == told


def gif(box: tuple[int, int, int, int], clear: int | None) -> bytes:
    """A canvas of red, and on it a frame of green with a blue and a red pixel."""
    frame = Image.new("P", box[2:], 1)
    frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    for at, colour in enumerate((0, 2, 3)):
        frame.putpixel((at, 0), colour)
    data = encode(frame, "GIF", optimize=False)
    at = data.index(b",")
    control = b"" if clear is None else b"!\xf9\4\1\0\0%c\0" % clear
    head = data[:6] + struct.pack("<HH", SIDE, SIDE) + data[10:13] + data[13 : 13 + 12]
    return head + control + b"," + struct.pack("<4H", *box) + data[at + 9 :]


@pytest.mark.parametrize("clear", [None, 2])
def test_what_a_first_frame_leaves_free_is_white(clear: int | None) -> None:
    expected = np.full((SIDE, SIDE, 3), 255)
    expected[5:35, 10:40] = (0, 255, 0)
    expected[5, 10:13] = ((255, 0, 0), (0, 0, 255), (9, 9, 9))
    if clear is not None:
        expected[5, 11] = 255
    assert is_read_as(gif((10, 5, 30, 30), clear), expected)


def bmp(bits: int, masks: tuple[int, ...], values: Array, *, header: int = 124) -> bytes:
    """With bit fields where there are masks."""
    kind = {16: "<u2", 32: "<u4"}[bits]
    pixels = values[::-1].astype(kind).tobytes()
    fields = struct.pack("<IiiHHIIiiII", header, SIDE, SIDE, 1, bits, 3 if masks else 0, *[0] * 5)
    fields += struct.pack(f"<{len(masks)}I", *masks)
    if header > 40:
        fields = fields.ljust(header, b"\0")
    start = 14 + len(fields)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + fields + pixels


def test_bmp_with_an_alpha_channel_that_holds_nothing() -> None:
    red, green, blue = COLOURS.transpose(2, 0, 1)
    values = red << 16 | green << 8 | blue
    masks = (0xFF0000, 0xFF00, 0xFF)
    for alpha in (0, 255):
        with_alpha = values | alpha << 24
        for header in (56, 108, 124):
            for mask in (0, 0xFF000000):
                assert is_read_as(bmp(32, (*masks, mask), with_alpha, header=header), COLOURS)
        assert is_read_as(bmp(32, (), with_alpha, header=40), COLOURS)
        assert is_read_as(bmp(32, masks, with_alpha, header=40), COLOURS)
    clear = bmp(32, (*masks, 0xFF000000), values | ALPHA << 24)
    assert is_read_as(clear, over_white(COLOURS))


def test_bmp_of_16_bits() -> None:
    red, green, blue = COLOURS.transpose(2, 0, 1)
    short = np.dstack([(red >> 3) * 255 / 31, (green >> 3) * 255 / 31, (blue >> 3) * 255 / 31])
    values = red >> 3 << 10 | green >> 3 << 5 | blue >> 3
    assert is_read_as(bmp(16, (), values, header=40), short)
    assert is_read_as(bmp(16, (0x7C00, 0x3E0, 0x1F), values, header=40), short)
    values = red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    short[..., 1] = (green >> 2) * 255 / 63
    assert is_read_as(bmp(16, (0xF800, 0x7E0, 0x1F), values, header=40), short)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_webp_and_avif_with_alpha(premultiplied: bool) -> None:
    for values in (np.dstack([COLOURS, ALPHA]), np.dstack([GREY, ALPHA])):
        image = Image.fromarray(values.astype(np.uint8))
        colours = values[..., :3] if values.shape[2] == 4 else np.dstack([GREY] * 3)
        expected = over_white(colours)
        assert is_read_as(encode(image, "WEBP", lossless=True), expected)
        if features.check("avif"):
            options = {"subsampling": "4:4:4", "alpha_premultiplied": premultiplied}
            data = encode(image, "AVIF", quality=100, **options)
            assert is_read_as(data, expected, within=12)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("box", [(0, 0, SIDE, SIDE), (4, 10, 12, 20), (0, 0, SIDE, 16)])
def test_what_a_first_webp_frame_leaves_free_is_white(
    box: tuple[int, int, int, int], mode: str
) -> None:
    left, top, width, height = box
    frame = Image.fromarray(COLOURS[:height, :width].astype(np.uint8)).convert(mode)
    # Without its container: what a frame holds.
    content = encode(frame, "WEBP", lossless=True, exact=True)[12:]
    places = [left // 2, top // 2, width - 1, height - 1, 100]
    head = b"".join(value.to_bytes(3, "little") for value in places) + b"\2"
    canvas = (SIDE - 1).to_bytes(3, "little") * 2
    chunks = [(b"VP8X", b"\2\0\0\0" + canvas), (b"ANIM", bytes(6))]
    chunks += [(b"ANMF", head + content)] * 2
    body = b"".join(name + struct.pack("<I", len(part)) + part for name, part in chunks)
    expected = np.full((SIDE, SIDE, 3), 255)
    expected[top : top + height, left : left + width] = COLOURS[:height, :width]
    assert is_read_as(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body, expected)


def test_jpeg_of_four_inks() -> None:
    """As Photoshop writes them: turned round, whether they say so or not."""
    inks = np.dstack([255 - COLOURS, 0 * GREY]).astype(np.uint8)
    image = Image.frombytes("CMYK", (SIDE, SIDE), inks.tobytes())
    data = encode(image, "JPEG", quality=100, subsampling=0)
    at = data.index(b"\xff\xee\0\x0eAdobe")
    for content in (data, data[:at] + data[at + 16 :]):
        assert is_read_as(content, COLOURS, within=25)
