"""TIFF in all its kinds: the pixels that were drawn, or a word on why not; never other ones."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, TiffImagePlugin
from tiffs import (
    BITS,
    BLACK_IS_ZERO,
    CMYK,
    COMPRESSION,
    DEFLATE,
    EXTRA,
    FILL,
    FLOAT,
    FORMAT,
    INDEXED,
    LAB,
    LENGTH,
    PACKBITS,
    PALETTE,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RAW,
    RGB,
    ROWS,
    SAMPLES,
    SIGNED,
    SUBSAMPLING,
    WHITE_IS_ZERO,
    WIDTH,
    YCBCR,
    Order,
    Tags,
    compressed,
    picture,
    tiff,
)

from flowers_onnx import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode, prepare

Array = npt.NDArray[Any]

SIDE = 48
PREPROCESS = Preprocess(SIDE, 1.0, "nearest")
_across = np.linspace(0, 255, SIDE)[None, :].repeat(SIDE, 0)
_down = np.linspace(0, 255, SIDE)[:, None].repeat(SIDE, 1)
#: A drawing: a gradient, with a square in it.
GREY: npt.NDArray[np.uint8] = ((_across + _down) / 2).astype(np.uint8)
GREY[8:20, 10:30] = 220
COLOURS: npt.NDArray[np.uint8] = np.dstack([_across, _down, 255 - _across]).astype(np.uint8)
COLOURS[8:20, 10:30] = (200, 30, 60)
#: The lower quarter is clear, and what is above it half so.
ALPHA = np.full((SIDE, SIDE), 255, np.uint8)
ALPHA[30:36], ALPHA[36:] = 128, 0

#: 16 bits, 32 bits and so on of the same drawing.
_RANGES = {"u1": 1, "u2": 257, "u4": 16_843_009}
LAYOUTS = [
    {}, {"rows": 7}, {"tile": (32, 16)}, {"compression": DEFLATE, "rows": 7},
    {"compression": PACKBITS, "tile": (16, 32)},
]  # fmt: skip


def wide(array: Array, kind: str) -> Array:
    return array.astype(kind) * _RANGES[kind]


def over_white(colours: Array) -> npt.NDArray[np.float64]:
    share = ALPHA[..., None] / 255
    return np.asarray(colours * share + 255 * (1 - share))


def planes(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def is_read_as(data: bytes, expected: Array, within: float = 2) -> bool:
    pixels = decode(io.BytesIO(data), PREPROCESS).pixels.astype(float)
    wanted = expected if expected.ndim == 3 else np.dstack([expected] * 3)
    return bool(np.abs(pixels - wanted).max() <= within)


def is_refused(data: bytes, *words: str) -> bool:
    with pytest.raises(ImageError) as raised:
        decode(io.BytesIO(data), PREPROCESS)
    text = str(raised.value)
    assert raised.value.code == "unsupported", text
    assert "TIFF" in text
    return all(word in text for word in (*words, "convert it to an ordinary (8-bit) JPEG or PNG"))


def premultiplied(colours: Array) -> Array:
    return (colours * (ALPHA[..., None] / 255)).round().astype(np.uint8)


KINDS: dict[str, tuple[Array, Tags, Array]] = {
    "grey": (GREY, {PHOTOMETRIC: BLACK_IS_ZERO}, GREY),
    "white is zero": (255 - GREY, {PHOTOMETRIC: WHITE_IS_ZERO}, GREY),
    "RGB": (COLOURS, {PHOTOMETRIC: RGB}, COLOURS),
    "RGB, planar": (planes(COLOURS), {PHOTOMETRIC: RGB, PLANAR: 2}, COLOURS),
    "RGBA": (np.dstack([COLOURS, ALPHA]), {PHOTOMETRIC: RGB, EXTRA: 2}, over_white(COLOURS)),
    "RGBA, planar": (
        planes(np.dstack([COLOURS, ALPHA])),
        {PHOTOMETRIC: RGB, EXTRA: 2, PLANAR: 2},
        over_white(COLOURS),
    ),
    "premultiplied": (
        np.dstack([premultiplied(COLOURS), ALPHA]),
        {PHOTOMETRIC: RGB, EXTRA: 1},
        over_white(COLOURS),
    ),
    "more than alpha": (np.dstack([COLOURS, ALPHA]), {PHOTOMETRIC: RGB, EXTRA: 0}, COLOURS),
    "more, planar": (
        planes(np.dstack([COLOURS, ALPHA])),
        {PHOTOMETRIC: RGB, EXTRA: 0, PLANAR: 2},
        COLOURS,
    ),
    "CMYK": (np.dstack([255 - COLOURS, 0 * GREY]), {PHOTOMETRIC: CMYK}, COLOURS),
    "CMYK, planar": (
        planes(np.dstack([255 - COLOURS, 0 * GREY])),
        {PHOTOMETRIC: CMYK, PLANAR: 2},
        COLOURS,
    ),
    "grey, one plane": (GREY, {PHOTOMETRIC: BLACK_IS_ZERO, PLANAR: 2, SAMPLES: 1}, GREY),
}
#: Of 16 bits these can't be read.
TOO_DEEP = {("white is zero", ">")}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", ["u1", "u2"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_depths_orders_and_layouts(
    kind: str, depth: str, order: Order, layout: dict[str, object]
) -> None:
    array, tags, expected = KINDS[kind]
    if kind == "grey, one plane":
        array = array[None]
    data = picture(wide(array, depth), tags, order=order, **layout)  # type: ignore[arg-type]
    if depth == "u2" and (kind, order) in TOO_DEEP:
        assert is_refused(data, "16-bit grey")
    else:
        assert is_read_as(data, expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_numbers_of_32_bits(order: Order, layout: dict[str, object]) -> None:
    grey = {PHOTOMETRIC: BLACK_IS_ZERO}
    files = [
        (GREY.astype("f4") / 255, {**grey, FORMAT: FLOAT}),
        (GREY.astype("f4"), {**grey, FORMAT: FLOAT}),
        (GREY.astype("f4") * 257, {**grey, FORMAT: FLOAT}),
        (1 - GREY.astype("f4") / 255, {PHOTOMETRIC: WHITE_IS_ZERO, FORMAT: FLOAT}),
        (GREY.astype("i4"), {**grey, FORMAT: SIGNED}),
        (GREY.astype("i4") * 257, {**grey, FORMAT: SIGNED}),
        (GREY.astype("i4") * 8_421_504, {**grey, FORMAT: SIGNED}),
    ]
    if order == "<":
        files += [(GREY.astype("u4") * scale, grey) for scale in (1, 257, 16_843_009)]
    for array, tags in files:
        assert is_read_as(picture(array, tags, order=order, **layout), GREY)  # type: ignore[arg-type]


@pytest.mark.parametrize("peak", [1.02, 1.3, 4.0])
def test_light_above_white(peak: float) -> None:
    """A sharpened or a rendered picture has it; what is up to white stays as it is."""
    array = GREY.astype("f4") / 255
    array[0, :20] = peak
    array[1, :20] = -0.3
    expected = GREY.copy()
    expected[0, :20], expected[1, :20] = 255, 0
    assert is_read_as(picture(array, {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: FLOAT}), expected)


def test_what_is_no_number_is_dark() -> None:
    array = GREY.astype("f4") / 255
    array[2:4], array[4:6] = np.nan, np.inf
    expected = GREY.copy()
    expected[2:4], expected[4:6] = 0, 255
    assert is_read_as(picture(array, {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: FLOAT}), expected)


def packed(values: Array, bits: int) -> Iterator[bytes]:
    """Rows of numbers of a few bits each, each row up to a whole byte."""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row.reshape(-1).tolist())
        text += "0" * (-len(text) % 8)
        yield int(text, 2).to_bytes(len(text) // 8, "big")


REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@pytest.mark.parametrize("compression", [RAW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("fill", [1, 2])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(bits: int, fill: int, compression: int) -> None:
    most = (1 << bits) - 1
    values = GREY.astype(int) * most // 255
    ramp = [level * 65535 // most for level in range(most + 1)]
    colour_of = np.array(ramp) >> 8
    for model, stored, expected in (
        (BLACK_IS_ZERO, values, values * 255 / most),
        (WHITE_IS_ZERO, most - values, values * 255 / most),
        (INDEXED, values, np.dstack([colour_of[values], colour_of[most - values], 0 * values])),
    ):
        rows = list(packed(stored, bits))
        parts = [compressed(b"".join(rows[at : at + 7]), compression) for at in range(0, SIDE, 7)]
        tags: dict[int, int | list[int]] = {
            WIDTH: SIDE, LENGTH: SIDE, BITS: bits, COMPRESSION: compression, PHOTOMETRIC: model,
            SAMPLES: 1, ROWS: 7, FILL: fill,
        }  # fmt: skip
        if model == INDEXED:
            tags[PALETTE] = [*ramp, *ramp[::-1], *[0] * (most + 1)]
        if fill == 2:
            parts = [part.translate(REVERSED) for part in parts]
        assert is_read_as(tiff(parts, tags), expected)


def test_twelve_bits() -> None:
    values = GREY.astype(int) * 4095 // 255
    orders: tuple[Order, Order] = ("<", ">")
    for order in orders:
        data = tiff(
            list(packed(values, 12)),
            {WIDTH: SIDE, LENGTH: SIDE, BITS: 12, PHOTOMETRIC: BLACK_IS_ZERO, SAMPLES: 1, ROWS: 1},
            order=order,
        )
        if order == "<":
            assert is_read_as(data, GREY)
        else:
            assert is_refused(data, "12-bit grey")


@pytest.mark.parametrize("shift", [0, 8])
def test_a_palette_of_8_bits_or_of_16(shift: int) -> None:
    ramp = [value << shift for value in range(256)]
    palette = [*ramp, *ramp[::-1], *[0] * 256]
    expected = np.dstack([GREY, 255 - GREY, 0 * GREY])
    for compression in (RAW, DEFLATE):
        data = picture(GREY, {PHOTOMETRIC: INDEXED, PALETTE: palette}, compression=compression)
        assert is_read_as(data, expected)


@pytest.mark.parametrize("across", [1, 2, 4])
@pytest.mark.parametrize("down", [1, 2])
@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_colour_of_fewer_pixels_than_light(compression: int, down: int, across: int) -> None:
    values = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    units = values[..., 1:].reshape(SIDE // down, down, SIDE // across, across, 2)
    colour = units.mean(axis=(1, 3)).astype(np.uint8)
    light = values[..., 0].reshape(SIDE // down, down, SIDE // across, across).swapaxes(1, 2)
    content = np.dstack([light.reshape(SIDE // down, SIDE // across, -1), colour]).tobytes()
    bands = [values[..., 0], *colour.repeat(down, 0).repeat(across, 1).transpose(2, 0, 1)]
    expected = Image.merge("YCbCr", [Image.fromarray(band) for band in bands]).convert("RGB")
    data = tiff(
        [compressed(content, compression)],
        {
            WIDTH: SIDE, LENGTH: SIDE, BITS: [8] * 3, COMPRESSION: compression, SAMPLES: 3,
            PHOTOMETRIC: YCBCR, ROWS: SIDE, SUBSAMPLING: [across, down],
        },
    )  # fmt: skip
    assert is_read_as(data, np.asarray(expected), within=6)


def test_lab() -> None:
    """Grey, and a rose: L* 70, a* 40, b* 10."""
    values = np.zeros((SIDE, SIDE, 3), np.uint8)
    values[..., 0] = np.linspace(0, 255, SIDE)[:, None]
    values[:8] = (179, 40, 10)
    light = values[..., 0] / 255 * 100
    xyz = np.where(light > 8, ((light + 16) / 116) ** 3, light / 903.3)
    grey = np.where(xyz > 0.0031308, 1.055 * xyz ** (1 / 2.4) - 0.055, 12.92 * xyz) * 255
    expected = np.dstack([grey] * 3)
    expected[:8] = (242, 143, 155)
    assert is_read_as(picture(values, {PHOTOMETRIC: LAB}), expected, within=3)


def test_grey_with_alpha() -> None:
    expected = over_white(np.dstack([GREY] * 3))
    grey = GREY * (ALPHA / 255)
    for array, extra in (
        (np.dstack([GREY, ALPHA]), 2),
        (np.dstack([grey.round().astype(np.uint8), ALPHA]), 1),
    ):
        for layout in LAYOUTS:
            tags = {PHOTOMETRIC: BLACK_IS_ZERO, EXTRA: extra}
            assert is_read_as(picture(array, tags, **layout), expected)  # type: ignore[arg-type]
            separate = picture(planes(array), {**tags, PLANAR: 2}, **layout)  # type: ignore[arg-type]
            assert is_refused(separate, "separate planes")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma"])
def test_differences_instead_of_values(compression: str) -> None:
    for array in (COLOURS, wide(GREY, "u2")):
        file = io.BytesIO()
        Image.fromarray(array).save(file, "TIFF", compression=compression, tiffinfo={PREDICTOR: 2})
        assert is_read_as(file.getvalue(), COLOURS if array is COLOURS else GREY)
    # What isn't compressed has none, whatever it says.
    assert is_read_as(picture(COLOURS, {PHOTOMETRIC: RGB, PREDICTOR: 2}), COLOURS)


def test_jpeg_within() -> None:
    for quality, within in ((100, 70), (75, 110)):  # of colour at the edges of the square
        file = io.BytesIO()
        Image.fromarray(COLOURS).save(file, "TIFF", compression="jpeg", quality=quality)
        assert is_read_as(file.getvalue(), COLOURS, within)
        file = io.BytesIO()
        Image.fromarray(GREY).save(file, "TIFF", compression="jpeg", quality=quality)
        assert is_read_as(file.getvalue(), GREY, within=25)


def test_the_first_of_two_pages_and_the_large_kind() -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(
        file, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]
    )
    assert is_read_as(file.getvalue(), COLOURS)
    assert is_read_as(picture(COLOURS, {PHOTOMETRIC: RGB}, big=True), COLOURS)
    assert is_refused(picture(COLOURS, {PHOTOMETRIC: RGB}, big=True, order=">"), "BigTIFF")


@pytest.mark.parametrize(
    ("compression", "words"),
    [
        (6, "old-style JPEG"), (32771, "aligned CCITT"), (34712, "JPEG 2000"), (34887, "LERC"),
        (34892, "lossy JPEG"), (50001, "WebP"), (50002, "JPEG XL"), (52546, "JPEG XL"),
        (60123, "method 60123"),
    ],
)  # fmt: skip
def test_a_compression_that_cannot_be_read_is_named(compression: int, words: str) -> None:
    data = picture(COLOURS, {PHOTOMETRIC: RGB, COMPRESSION: compression})
    assert is_refused(data, f"compressed with {words}")


@pytest.mark.parametrize(
    ("array", "tags", "words"),
    [
        (COLOURS.astype("f4") / 255, {PHOTOMETRIC: RGB, FORMAT: [FLOAT] * 3}, "32-bit floating"),
        (COLOURS.astype("f8") / 255, {PHOTOMETRIC: RGB, FORMAT: [FLOAT] * 3}, "64-bit floating"),
        ((GREY / 255).astype("f2"), {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: FLOAT}, "16-bit float"),
        (COLOURS.astype("u4"), {PHOTOMETRIC: RGB}, "32-bit RGB"),
        (GREY.astype("i1"), {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: SIGNED}, "8-bit signed grey"),
        (GREY.astype("i2"), {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: SIGNED}, "16-bit signed grey"),
        (GREY.astype("u8"), {PHOTOMETRIC: BLACK_IS_ZERO}, "64-bit grey"),
        (GREY.astype("c8"), {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: 6}, "64-bit complex grey"),
        (wide(GREY, "u2"), {PHOTOMETRIC: INDEXED, PALETTE: [0] * 768}, "16-bit palette"),
        (wide(COLOURS, "u2"), {PHOTOMETRIC: YCBCR, SUBSAMPLING: [1, 1]}, "16-bit YCbCr"),
        (COLOURS, {PHOTOMETRIC: 32845}, "LogLuv"),
        (wide(np.dstack([GREY, ALPHA]), "u2"), {PHOTOMETRIC: 1, EXTRA: 2}, "more channels"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_kind_that_cannot_be_read_is_named(
    array: Array, tags: Tags, words: str, order: Order
) -> None:
    for compression in (RAW, DEFLATE):
        assert is_refused(picture(array, tags, order=order, compression=compression), words)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (GREY.astype("i4") - 128, "below zero"),
        (GREY.astype("i4") * 20_000, "above 65535"),
        (GREY.astype("f4") * 20_000, "above 65535"),
    ],
)
def test_numbers_whose_white_nobody_knows(array: Array, words: str) -> None:
    kind = FLOAT if array.dtype.kind == "f" else SIGNED
    data = picture(array, {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: kind})
    with pytest.raises(ImageError, match=words) as raised:
        decode(io.BytesIO(data), PREPROCESS)
    assert raised.value.code == "unsupported"


def test_an_image_of_pillow_is_read_like_its_file() -> None:
    for kind, depth in (("white is zero", "u2"), ("RGB", "u2"), ("premultiplied", "u1")):
        array, tags, expected = KINDS[kind]
        data = picture(wide(array, depth), tags)
        with Image.open(io.BytesIO(data)) as image:
            assert np.abs(prepare(image, PREPROCESS).pixels - 1.0 * _rgb(expected)).max() <= 2
    array, tags, _ = KINDS["RGB, planar"]
    with (
        Image.open(io.BytesIO(picture(wide(array, "u2"), tags))) as image,
        pytest.raises(ImageError, match="separate planes"),
    ):
        prepare(image, PREPROCESS)
    assert not TiffImagePlugin.READ_LIBTIFF


def _rgb(expected: Array) -> Array:
    return expected if expected.ndim == 3 else np.dstack([expected] * 3)
