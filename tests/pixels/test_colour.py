"""Photos with a colour profile: what they mean, in sRGB, and nothing broken by a broken one."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import icc
import numpy as np
import numpy.typing as npt
import pytest
from odd_images import encode, gradient
from PIL import Image, ImageCms, features

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Pixels, decode, prepare

PREPROCESS = Preprocess(48, 1.0, "nearest")
PHOTO = gradient(48, 48)
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
MATRICES = {
    "P3": icc.P3, "Adobe RGB": icc.ADOBE, "ProPhoto": icc.PROPHOTO, "linear": icc.LINEAR,
    "gamma 2.2": icc.SRGB_GAMMA, "a table": icc.rgb(icc.SRGB_PRIMARIES, icc.srgb_curve(26)),
}  # fmt: skip


def pixels_of(data: bytes) -> Pixels:
    return decode(io.BytesIO(data), PREPROCESS).pixels


def by_little_cms(image: Image.Image, profile: bytes) -> npt.NDArray[np.uint8]:
    """What Little CMS makes of it."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    assert converted is not None
    return np.asarray(converted)


def differ(some: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> int:
    return int(np.abs(some.astype(int) - other).max())


@pytest.mark.parametrize("name", MATRICES)
def test_colours_are_what_little_cms_makes_of_them(name: str) -> None:
    profile = MATRICES[name]
    for format, options in LOSSLESS.items():
        data = encode(PHOTO, format, icc_profile=profile, **options)
        assert differ(pixels_of(data), by_little_cms(PHOTO, profile)) <= 2


def test_formats_with_loss() -> None:
    expected = by_little_cms(PHOTO, icc.PROPHOTO)
    assert differ(expected, np.asarray(PHOTO)) > 50
    for format in ("JPEG", *(["AVIF"] if features.check("avif") else [])):
        data = encode(PHOTO, format, quality=100, subsampling="4:4:4", icc_profile=icc.PROPHOTO)
        assert np.abs(pixels_of(data).astype(int) - expected).mean() < 3


def test_grey_and_printed_photos() -> None:
    grey = PHOTO.convert("L")
    data = encode(grey, "PNG", icc_profile=icc.GREY)
    assert differ(pixels_of(data), by_little_cms(grey, icc.GREY)) <= 1
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert differ(pixels_of(encode(wide, "PNG", icc_profile=icc.GREY)), pixels_of(data)) <= 1
    inks = PHOTO.convert("CMYK")
    data = encode(inks, "TIFF", icc_profile=icc.CMYK)
    assert differ(pixels_of(data), by_little_cms(inks, icc.CMYK)) <= 1
    assert differ(pixels_of(data), np.asarray(PHOTO)) > 50


def test_an_image_of_pillow_is_read_like_its_file() -> None:
    data = encode(PHOTO, "PNG", icc_profile=icc.PROPHOTO)
    with Image.open(io.BytesIO(data)) as image:
        assert (prepare(image, PREPROCESS).pixels == pixels_of(data)).all()


def test_a_large_photo() -> None:
    large = PHOTO.resize((2000, 2000), Image.Resampling.NEAREST)
    data = encode(large, "PNG", icc_profile=icc.PROPHOTO, compress_level=1)
    difference = pixels_of(data).astype(int) - by_little_cms(PHOTO, icc.PROPHOTO)
    assert np.abs(difference).mean() < 4


def test_a_profile_in_many_segments() -> None:
    """Of a JPEG: 2 MB of it, most of which nothing points to."""
    profile = icc.PROPHOTO + bytes(2 << 20)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    data = encode(PHOTO, "JPEG", quality=100, icc_profile=profile)
    small = encode(PHOTO, "JPEG", quality=100, icc_profile=icc.PROPHOTO)
    assert (pixels_of(data) == pixels_of(small)).all()


def damaged(profile: bytes, seed: int) -> bytes:
    draw, content = random.Random(seed), bytearray(profile)
    for _ in range(draw.randint(1, 12)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content[: draw.choice((len(content), draw.randrange(len(content))))])


def test_a_broken_profile_is_no_error() -> None:
    for image, profile, count in (
        (PHOTO.copy(), icc.P3, 150),
        (PHOTO.convert("L"), icc.GREY, 150),
        (PHOTO.convert("CMYK"), icc.CMYK, 25),
    ):
        for number in range(count):
            image.info["icc_profile"] = damaged(profile, number)
            assert prepare(image, PREPROCESS).pixels.shape == (48, 48, 3)


@pytest.mark.parametrize(
    "profile",
    [
        b"", b"no profile", bytes(500), icc.P3[:200], icc.SRGB, icc.GREY, icc.CMYK,
        icc.rgb(icc.SRGB_PRIMARIES, icc.gamma(0)), icc.grey(b"curv\0\0\0\0\0\0\0\2\0\0\0\0"),
        icc.profile(b"RGB ", {}), icc.P3.replace(b"para", b"what"),
        icc.P3.replace(b"acsp", b"nope"), icc.P3.replace(b"RGB ", b"HSV "),
        icc.P3 + bytes(9 << 20),
    ],
)  # fmt: skip
def test_one_that_says_nothing_is_ignored(profile: bytes) -> None:
    """Or says that it is sRGB, or is of pixels of another kind."""
    image = PHOTO.copy()
    image.info["icc_profile"] = profile
    assert (prepare(image, PREPROCESS).pixels == np.asarray(PHOTO)).all()


def test_threads_share_what_was_worked_out() -> None:
    files = [
        (encode(PHOTO, "PNG", icc_profile=icc.P3), by_little_cms(PHOTO, icc.P3)),
        (
            encode(PHOTO.convert("CMYK"), "TIFF", icc_profile=icc.CMYK),
            by_little_cms(PHOTO.convert("CMYK"), icc.CMYK),
        ),
    ]
    with ThreadPoolExecutor(8) as pool:
        for number, pixels in enumerate(pool.map(pixels_of, [data for data, _ in files] * 15)):
            assert differ(pixels, files[number % 2][1]) <= 2


@pytest.mark.parametrize("gamma", [1.0, 0.55556])
def test_gamma_of_a_png(gamma: float) -> None:
    """Values are light to that power; sRGB's own is about 1 / 2.2."""
    plain = encode(PHOTO, "PNG")
    chunk = b"gAMA" + struct.pack(">I", round(gamma * 100_000))
    chunk = b"\0\0\0\4" + chunk + struct.pack(">I", zlib.crc32(chunk))
    srgb = b"\0\0\0\1sRGB\0" + struct.pack(">I", zlib.crc32(b"sRGB\0"))
    at = plain.index(b"IDAT") - 4
    light = (np.arange(256) / 255) ** (1 / gamma)
    table = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    expected = table.round().astype(np.uint8)[np.asarray(PHOTO)]
    assert differ(pixels_of(plain[:at] + chunk + plain[at:]), expected) <= 1
    assert (pixels_of(plain[:at] + srgb + chunk + plain[at:]) == np.asarray(PHOTO)).all()


@pytest.mark.parametrize("gamma", [0, 45455, 45000, 2**32 - 1])
def test_a_usual_or_a_senseless_gamma(gamma: int) -> None:
    chunk = b"gAMA" + struct.pack(">I", gamma)
    plain = encode(PHOTO, "PNG")
    at = plain.index(b"IDAT") - 4
    data = plain[:at] + b"\0\0\0\4" + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[at:]
    assert (pixels_of(data) == np.asarray(PHOTO)).all()


@pytest.mark.parametrize(
    ("profile", "loads_little_cms"), [(None, False), (icc.SRGB, False), (icc.P3, False)]
)
def test_what_a_plain_photo_does_without(
    tmp_path: Path, profile: bytes | None, loads_little_cms: bool
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(PHOTO, "JPEG", icc_profile=profile))
    program = (
        "import sys; from flowers_onnx.metadata import Preprocess;"
        "from flowers_onnx.pixels import decode;"
        "decode(open(sys.argv[1], 'rb'), Preprocess(48, 1.0, 'nearest'));"
        "print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(path)]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    rare = {"flowers_onnx.pixels.tiff", "flowers_onnx.pixels.heic", "PIL.TiffImagePlugin"}
    assert not rare & set(modules) or profile is None
    assert ("PIL.ImageCms" in modules) == loads_little_cms
    assert ("flowers_onnx.pixels.colour" in modules) == (profile is not None)
