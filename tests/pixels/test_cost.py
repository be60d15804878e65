"""What an image costs, and what is refused for it: at the limit and one pixel above."""

from __future__ import annotations

import io
import re
import struct
import time

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image, features

from flowers_onnx import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode, memory, prepare

PREPROCESS = Preprocess(64, 0.875, "bilinear")
WIDTH, HEIGHT = 60, 40
AREA = WIDTH * HEIGHT

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


def decoded(data: bytes, max_pixels: int = AREA) -> Decoded:
    return decode(io.BytesIO(data), PREPROCESS, max_pixels)


def is_too_large(data: bytes, max_pixels: int) -> bool:
    try:
        decoded(data, max_pixels)
    except ImageError as error:
        assert error.code == "too_large"
        assert str(error).startswith(f"{WIDTH} x {HEIGHT} pixels are too many to decode (limit ")
        return True
    return False


def cost(data: bytes) -> int:
    """The least ``max_pixels`` that lets it through, as the message tells."""
    with pytest.raises(ImageError) as caught:
        decoded(data, 1)
    limit = re.search(r"--max_pixels (\d+)\)", str(caught.value))
    assert limit
    assert not is_too_large(data, int(limit[1]))
    assert is_too_large(data, int(limit[1]) - 1)
    return int(limit[1])


@pytest.mark.parametrize(
    ("format", "mode", "each"),
    [
        ("PNG", "RGB", 4),
        ("PNG", "RGBA", 4),
        ("PNG", "I;16", 6),
        ("PNG", "P", 4),  # one byte, but no more pixels than that
        ("GIF", "P", 4),
        ("BMP", "RGB", 4),
        ("TIFF", "RGB", 4),
        ("JPEG", "RGB", 4),
        ("WEBP", "RGB", 16),
        ("WEBP", "RGBA", 16),
        pytest.param("AVIF", "RGB", 1.5 * 1.25 + 7, marks=needs_avif),
        pytest.param("AVIF", "RGBA", 2.5 * 1.25 + 8, marks=needs_avif),
    ],
)
def test_the_bytes_of_a_pixel(format: str, mode: str, each: float) -> None:
    image = gradient(WIDTH, HEIGHT)
    if mode == "I;16":
        image = Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16))
    elif mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    else:
        image = image.convert(mode)
    data = encode(image, format)
    whole_file = len(data) if format in {"WEBP", "AVIF"} else 0
    assert cost(data) == -(-int(AREA * each + whole_file) // 4)


def test_a_picture_in_memory_costs_as_much() -> None:
    image = gradient(WIDTH, HEIGHT)
    assert prepare(image, PREPROCESS, AREA).pixels.shape == (64, 64, 3)
    with pytest.raises(ImageError, match="too many to decode"):
        prepare(image, PREPROCESS, AREA - 1)


def test_the_message_tells_the_limit_of_the_kind_and_what_lets_it_through() -> None:
    with pytest.raises(ImageError) as caught:
        decoded(encode(gradient(WIDTH, HEIGHT), "PNG"), 2000)
    assert str(caught.value) == (
        "60 x 40 pixels are too many to decode (limit 2,000: it takes --max_pixels 2400)"
    )
    deep = encode(Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)), "PNG")
    with pytest.raises(ImageError, match=r"limit 1,333: it takes --max_pixels 3600"):
        decoded(deep, 2000)


def tiff(**tags: int) -> bytes:
    """An uncompressed grey TIFF of 60 x 40 in one strip; tags are name and value."""
    entries = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 277: 1, 278: HEIGHT, 279: AREA}
    numbers = {"tile_width": 322, "tile_length": 323}
    entries |= {numbers[name]: value for name, value in tags.items()}
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    directory = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items())
    )
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries))
    return head + directory + bytes(4) + bytes(AREA)


@pytest.mark.parametrize(
    ("tags", "least"),
    [
        ({}, AREA),
        ({"tile_width": 9 * AREA}, AREA),  # half of a size is none
        ({"tile_length": 9 * AREA}, AREA),
        ({"tile_width": 16, "tile_length": 16}, AREA),
        ({"tile_width": 64, "tile_length": 64}, 64 * 64),
        ({"tile_width": 1000, "tile_length": 3}, 3000),
    ],
)
def test_a_tiff_costs_its_largest_tile(tags: dict[str, int], least: int) -> None:
    assert cost(tiff(**tags)) == least


def test_a_packed_tiff_costs_its_strip_as_well() -> None:
    image, pixels = Image.new("RGB", (WIDTH, HEIGHT)), 4 * AREA
    whole = encode(image, "TIFF", compression="tiff_lzw", strip_size=1 << 20)
    strips = encode(image, "TIFF", compression="tiff_lzw", strip_size=3 * WIDTH)
    assert pixels + 3 * AREA < 4 * cost(whole) < pixels + 3 * AREA + len(whole)
    assert pixels + 3 * WIDTH < 4 * cost(strips) < pixels + 3 * WIDTH + len(strips)


def jpeg(width: int, height: int, **options: object) -> bytes:
    return encode(gradient(width, height), "JPEG", **options)


def test_a_jpeg_costs_what_its_decoder_leaves() -> None:
    # 64 / 0.875 * 2 -> 147 pixels are needed: of 600 a quarter is left, of 580 half.
    for data, least in (
        (jpeg(600, 600), 150 * 150),
        (jpeg(580, 580), 290 * 290),
        (jpeg(600, 600, progressive=True), 600 * 600),
        (jpeg(600, 600, progressive=True, subsampling=0), 600 * 600 * 6 // 4 + 150 * 150),
    ):
        decoded(data, least)
        with pytest.raises(ImageError, match=f"too many to decode .*--max_pixels {least}\\)"):
            decoded(data, least - 1)


@pytest.mark.parametrize(("large", "returned"), [(4 * AREA - 1, 1), (4 * AREA, 0)])
def test_memory_is_returned_after_large_images(
    monkeypatch: pytest.MonkeyPatch, large: int, returned: int
) -> None:
    times = []
    monkeypatch.setattr(memory, "_LARGE", large)
    monkeypatch.setattr(memory, "return_freed_memory", lambda: times.append(1))
    decoded(encode(gradient(WIDTH, HEIGHT), "PNG"))
    assert len(times) == returned


def test_the_time_is_that_of_its_parts() -> None:
    data = encode(gradient(400, 300), "PNG")
    started = time.perf_counter()
    done = decode(io.BytesIO(data), PREPROCESS)
    elapsed = (time.perf_counter() - started) * 1e3
    assert done.decode_ms > 0
    assert done.preprocess_ms > 0
    assert done.decode_ms + done.preprocess_ms <= elapsed


@pytest.mark.parametrize("kind", ["P", "RGB", "L", "LA", "RGBA", "RGBa", "PA"])
def test_what_is_clear_is_white(kind: str) -> None:
    """An alpha channel, or one colour that stands for nothing, kept beside the pixels."""
    black = (0,) * len(Image.new(kind, (1, 1)).getbands())
    image = Image.new(kind, (8, 8), black)
    if kind in {"P", "RGB", "L"}:
        image.info["transparency"] = black if kind == "RGB" else 0
    assert (prepare(image, PREPROCESS).pixels == 255).all()
    opaque = Image.new(kind, (8, 8), (*black[:-1], 255) if "A" in kind.upper() else black)
    assert not prepare(opaque, PREPROCESS).pixels.any()


def test_the_crop_is_the_centred_square() -> None:
    """Of 128 x 64 the middle 56 x 56 pixels: here white, and all else black."""
    image = Image.new("RGB", (128, 64))
    image.paste("white", (36, 4, 92, 60))
    whole = prepare(image, Preprocess(56, 0.875, "nearest"))
    assert (whole.width, whole.height) == (128, 64)
    assert (whole.pixels == 255).all()
    image.paste("black", (37, 5, 91, 59))
    frame = prepare(image, Preprocess(56, 0.875, "nearest")).pixels
    assert (frame[0] == 255).all()
    assert (frame[-1] == 255).all()
    assert (frame[:, 0] == 255).all()
    assert (frame[:, -1] == 255).all()
    assert not frame[1:-1, 1:-1].any()


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("F", [0.0, 0.5, 1.0], [0, 127, 255]),
        ("F", [0.0, 127.0, 255.0], [0, 127, 255]),
        ("F", [0.0, 257.0, 65535.0], [0, 1, 255]),
        ("F", [-5.0, float("nan"), 1.0], [0, 0, 255]),
        ("I", [0, 1, 255], [0, 1, 255]),
        ("I", [0, 257, 65535], [0, 1, 255]),
        ("I;16", [0, 257, 65535], [0, 1, 255]),
        ("I;16", [0, 255, 256], [0, 0, 0]),  # which says its range: 16 bits
    ],
)
def test_the_range_of_a_grey_image(mode: str, values: list[float], expected: list[int]) -> None:
    kinds = {"F": np.float32, "I": np.int32, "I;16": np.uint16}
    array = np.repeat(np.array(values, kinds[mode])[:, None], 3, axis=1)
    image = Image.fromarray(array)
    assert image.mode == mode
    square = prepare(image, Preprocess(3, 1.0, "nearest")).pixels
    assert square[:, 0, 0].tolist() == expected
    assert (square == square[:, :1, :1]).all()


def test_an_image_without_pixels() -> None:
    with pytest.raises(ImageError, match="no pixels") as raised:
        prepare(Image.new("RGB", (0, 5)), PREPROCESS)
    assert raised.value.code == "corrupt"
