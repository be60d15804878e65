"""Decoders that share no code with Pillow, or only a library below it, and what they see.

Each gives the picture as it is displayed: its first frame, upright, alpha over white, RGB.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
#: What a decoder that goes on says of data that isn't there, or isn't right.
_DAMAGE = re.compile(
    r"corrupt|truncat|premature|crc|unexpected end|not enough|improper|invalid|bad |error|"
    r"insufficient|read past|overread|short|missing|fewer",
    re.IGNORECASE,
)
_METADATA = re.compile(
    r"profile|tEXt|zTXt|iTXt|iCCP|exif|xmp|\btag\b|TIFFReadDirectory|metadata", re.IGNORECASE
)
_TIMEOUT = 60


class Picture(NamedTuple):
    """Pixels ``[H, W, 3]``, and what was complained of on the way."""

    pixels: Pixels
    complaints: str = ""


@dataclass(frozen=True)
class Decoder:
    """``read`` takes a path and the format's name, and raises what it likes."""

    name: str
    version: Callable[[], str]
    read: Callable[[str, str], Picture]


def decoders() -> dict[str, Decoder]:
    """Those there are."""
    found = [
        Decoder("vips", _vips_version, _vips),
        Decoder("vips+icc", _vips_version, _vips_managed),
        Decoder("opencv", _opencv_version, _opencv),
        Decoder("imagemagick", _magick_version, _magick),
        Decoder("ffmpeg", _ffmpeg_version, _ffmpeg),
        Decoder("imagecodecs", _imagecodecs_version, _imagecodecs),
    ]
    return {decoder.name: decoder for decoder in found}


def _vips_version() -> str:
    import pyvips

    return "libvips " + ".".join(str(pyvips.version(part)) for part in range(3))


def _vips(path: str, format: str) -> Picture:
    return _vips_read(path, managed=False)


def _vips_managed(path: str, format: str) -> Picture:
    """Asked where there is a profile, or a PNG's gamma; IM and exiftool read HEIC for it."""
    if format == "PNG" and (gamma := _gamma(path)):
        light = (np.arange(256) / 255) ** (1 / gamma)
        table = (light ** (1 / 2.2) * 255).round().astype(np.uint8)
        return Picture(table[_vips(path, format).pixels])
    if format != "HEIC":
        return _vips_read(path, managed=True)
    import pyvips

    command = ["exiftool", "-b", "-ICC_Profile", path]
    profile = subprocess.run(command, capture_output=True, check=True).stdout
    if not profile:
        raise ValueError("no profile")
    with tempfile.NamedTemporaryFile(suffix=".icc") as file:
        file.write(profile)
        file.flush()
        image = pyvips.Image.new_from_array(_magick(path, format).pixels)
        image = image.copy(interpretation="srgb")
        managed = image.icc_transform("srgb", input_profile=file.name)
        return Picture(_rgb(np.asarray(managed.numpy(), np.uint8)))


def _gamma(path: str) -> float | None:
    """What a PNG's gAMA says, where nothing that counts before it says otherwise."""
    with open(path, "rb") as file:
        head = file.read(1 << 16).partition(b"IDAT")[0]
    if any(kind in head for kind in (b"cICP", b"iCCP", b"sRGB")) or b"gAMA" not in head:
        return None
    return int.from_bytes(head.partition(b"gAMA")[2][:4], "big") / 100_000 or None


def _vips_read(path: str, *, managed: bool) -> Picture:
    import pyvips

    with _captured() as said:
        try:
            return Picture(_vips_pixels(pyvips, path, "error", managed=managed), said())
        except pyvips.Error as error:
            first = str(error)
            try:
                pixels = _vips_pixels(pyvips, path, "none", managed=managed)
            except pyvips.Error:
                raise ValueError(first) from error
            return Picture(pixels, f"error: {first}")


def _vips_pixels(pyvips: Any, path: str, fail_on: str, *, managed: bool) -> Pixels:
    image = pyvips.Image.new_from_file(path, fail_on=fail_on)
    has_profile = image.get_typeof("icc-profile-data") != 0
    if managed:
        if not has_profile:
            raise ValueError("no profile")
        image = image.icc_transform("srgb", embedded=True)
    if image.format in ("float", "double") and image.bands < 3:
        image = image * (255.0 if image.max() <= 1 else 1)
        image = image.cast("uchar").copy(interpretation="b-w")
    image = image.autorot().colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    image = image.cast("uchar")
    array: Pixels = np.asarray(image.numpy(), np.uint8)
    return _rgb(array)


def _opencv_version() -> str:
    import cv2

    return f"OpenCV {cv2.__version__}"


def _opencv(path: str, format: str) -> Picture:
    import cv2

    data = np.fromfile(path, np.uint8)
    with _captured() as said:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError(said() or "no image")
        if image.ndim == 3:
            image = image[..., [2, 1, 0, 3][: image.shape[2]]]
        return Picture(_turned(_rgb(_bytes(image)), _orientation(path)), said())


def _magick_version() -> str:
    done = subprocess.run(["convert", "-version"], capture_output=True, check=True, text=True)
    return " ".join(done.stdout.split()[1:3])


def _magick(path: str, format: str) -> Picture:
    words = ["-auto-orient", "-background", "white", "-alpha", "remove", "-colorspace", "sRGB"]
    frame = "-[0]"
    with open(path, "rb") as file:
        done = subprocess.run(
            ["convert", frame, "-coalesce", *words, "-depth", "8", "ppm:-"],
            stdin=file,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
        )
    text = done.stderr.decode("utf-8", "replace")
    pixels = _pnm(done.stdout)
    if pixels is None:
        raise ValueError(text or "no image")
    return Picture(pixels, text)


def _ffmpeg_version() -> str:
    import imageio_ffmpeg

    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"


_DEMUXERS = {"JPEG": "jpeg_pipe", "PNG": "png_pipe", "GIF": "gif", "BMP": "bmp_pipe",
             "TIFF": "tiff_pipe", "WEBP": "webp_pipe", "AVIF": "mov"}  # fmt: skip


def _ffmpeg(path: str, format: str) -> Picture:
    import imageio_ffmpeg

    demuxer = ["-f", _DEMUXERS[format]] if format in _DEMUXERS else []
    flags = "full_chroma_int+full_chroma_inp+accurate_rnd+bicubic"
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1",
         *demuxer, "-i", "file:" + os.path.abspath(path), "-frames:v", "1", "-sws_flags", flags,
         "-pix_fmt", "rgba", "-c:v", "pam", "-f", "image2pipe", "-"],
        capture_output=True,
        check=False,
        timeout=_TIMEOUT,
    )  # fmt: skip
    text = done.stderr.decode("utf-8", "replace")
    pixels = _pnm(done.stdout)
    if pixels is None:
        raise ValueError(text or "no image")
    return Picture(pixels, text and f"error: {text}")


def _imagecodecs_version() -> str:
    import imagecodecs
    import tifffile

    return f"imagecodecs {imagecodecs.__version__} with tifffile {tifffile.__version__}"


def _imagecodecs(path: str, format: str) -> Picture:
    import imagecodecs

    with _captured() as said:
        if format == "TIFF":
            pixels = _tifffile(path)
        else:
            with open(path, "rb") as file:
                data = file.read()
            names = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp",
                     "AVIF": "avif"}  # fmt: skip
            if format not in names:
                raise ValueError("not asked")
            options = {"index": 0} if format in ("GIF", "AVIF") else {}
            array = getattr(imagecodecs, f"{names[format]}_decode")(data, **options)
            if array.ndim == 4:
                array = array[0]
            if format == "JPEG" and array.ndim == 3 and array.shape[2] == 4:
                array = _from_cmyk(_bytes(array))
            pixels = _rgb(_bytes(array, _depth(data, format)))
        return Picture(_turned(pixels, _orientation(path)), said())


def _depth(data: bytes, format: str) -> int:
    """Bits of a sample, where they aren't those of the type that holds them."""
    if format == "JPEG" and (found := re.search(rb"\xff[\xc0-\xc3]..(.)", data, re.DOTALL)):
        return found[1][0]
    return 10 if format == "AVIF" else 16


def _tifffile(path: str) -> Pixels:
    """The first page, told by its tags."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        array = np.squeeze(page.asarray())
        if array.ndim == 3 and int(page.planarconfig) == 2 and page.samplesperpixel > 1:
            array = np.moveaxis(array, 0, -1)
        photometric = page.photometric.name
        if photometric == "PALETTE":
            table = (np.asarray(page.colormap) >> 8).astype(np.uint8)
            return _rgb(np.moveaxis(table, 0, -1)[array])
        if photometric == "MINISWHITE":
            array = ~array
        elif photometric == "SEPARATED":
            return _from_cmyk(255 - _bytes(array, page.bitspersample)[..., :4])
        elif photometric not in ("MINISBLACK", "RGB") and not (
            photometric == "YCBCR" and page.compression in (6, 7)
        ):
            raise ValueError(f"not asked for {photometric}")
        if array.dtype == np.uint8 and page.bitspersample < 8:
            array = (array.astype(np.uint16) * 255 // (2**page.bitspersample - 1)).astype(np.uint8)
        return _rgb(_bytes(array, page.bitspersample))


def _bytes(array: npt.NDArray[Any], bits: int = 16) -> Pixels:
    """Samples of 8 bits; floats are 0 to 1, or whatever else they show."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) >> (min(bits, 16) - 8)).clip(0, 255).astype(np.uint8)
    if array.dtype == np.uint32:
        return (array >> 24 if array.max() > 65535 else array >> 8).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        array = np.nan_to_num(array)
        scale = 255.0 if array.max() <= 1.5 else 1.0 if array.max() <= 300 else 255 / 65535
        return (array * scale).clip(0, 255).astype(np.uint8)
    raise ValueError(f"not asked for {array.dtype}")


def _from_cmyk(ink: Pixels) -> Pixels:
    """As plain as Pillow's: ``ink`` is 255 where there is none."""
    wide = ink.astype(np.uint16)
    return (wide[..., :3] * wide[..., 3:4] // 255).astype(np.uint8)


def _rgb(array: Pixels) -> Pixels:
    """Grey or colour, with or without alpha, over white."""
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] in (2, 4):
        alpha = array[..., -1:].astype(np.uint16)
        colour = array[..., :-1].astype(np.uint16)
        array = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    if array.shape[2] == 1:
        array = array.repeat(3, 2)
    return np.ascontiguousarray(array[..., :3])


def _orientation(path: str) -> int:
    """By libvips, for those that don't turn pictures."""
    import pyvips

    try:
        image = pyvips.Image.new_from_file(path)
        return int(image.get("orientation")) if image.get_typeof("orientation") else 1
    except pyvips.Error:
        return 1


def _turned(array: Pixels, orientation: int) -> Pixels:
    turns: dict[int, Callable[[Pixels], Pixels]] = {
        2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
    }  # fmt: skip
    return turns[orientation](array) if orientation in turns else array


def _pnm(data: bytes) -> Pixels | None:
    """The first picture of PPM or PAM; None for what is none."""
    file = io.BytesIO(data)
    kind = file.readline().strip()
    if kind == b"P7":
        fields: dict[bytes, bytes] = {}
        while (line := file.readline().strip()) and line != b"ENDHDR":
            key, _, value = line.partition(b" ")
            fields[key] = value
        shape = [int(fields[key]) for key in (b"HEIGHT", b"WIDTH", b"DEPTH")]
    elif kind == b"P6":
        sizes: list[int] = []
        while len(sizes) < 3 and (line := file.readline()):
            sizes += map(int, line.partition(b"#")[0].split())
        shape = [sizes[1], sizes[0], 3]
    else:
        return None
    size = int(np.prod(shape))
    pixels = file.read(size)
    return _rgb(np.frombuffer(pixels, np.uint8).reshape(shape)) if len(pixels) == size else None


@contextmanager
def _captured() -> Iterator[Callable[[], str]]:
    """What libraries write to standard error themselves, of which only damage counts."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)

        def said() -> str:
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            return damage(text)

        try:
            yield said
        finally:
            os.dup2(before, 2)
            os.close(before)


def damage(complaints: str) -> str:
    """The lines of ``complaints`` that are about the picture's data, joined."""
    lines = complaints.splitlines()
    return "; ".join(one for one in lines if _DAMAGE.search(one) and not _METADATA.search(one))
