"""Colours as the file's ICC profile means them, in sRGB, which the network has learnt from.

Imported for a photo with a profile only. Profiles of phones, cameras and screens are a matrix and
curves, worked out here; those of printers are tables, for Little CMS.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Convert = Callable[[Image.Image], Image.Image]

#: Larger ones are ignored: those of printers take 3 MB at most.
_MAX_BYTES = 8 << 20
#: Up to this size, what is worked out is kept for the next photo of the same camera.
_MAX_KEPT_BYTES = 1 << 20
_MAX_TAGS, _MAX_COLORANT = 100, 4.0
#: Bytes of one: a curve of 65,536 points has as many, and all may be the same.
_MAX_TAG = (1 << 17) + 12

#: A profile's colour space, and the mode of pixels that it describes.
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_COLORANTS, _CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
_READ = {*_COLORANTS, *_CURVES, b"kTRC", b"desc"}
#: From linear sRGB to the XYZ of profiles, whose white is D50.
_SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
#: In 8 bits: what profiles of sRGB differ by.
_SAME = 2
_GAMMAS, _SAME_GAMMA = (0.1, 5.0), 0.1
#: What white becomes at least and black at most; a profile that does else is broken.
_WHITE, _BLACK = 192, 96
_NO_CACHE = 0x40  # lcms2.h: a transform that threads share needs none


def mode_of(profile: bytes) -> str | None:
    """The mode of pixels that ``profile`` describes; None if it is none, or of another kind."""
    is_profile = 132 <= len(profile) <= _MAX_BYTES and profile[36:40] == b"acsp"
    return _MODES.get(profile[16:20]) if is_profile else None


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture of mode RGB, L or CMYK as sRGB; a profile that makes no sense is ignored."""
    convert = None
    if mode_of(profile) == image.mode:
        make = _kept if len(profile) <= _MAX_KEPT_BYTES else _made
        convert = make(profile)
    return convert(image) if convert else image.convert("RGB")


def without_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """A picture of mode RGB or L whose PNG says that its values are light to the power ``gamma``.

    One that is near that of sRGB, or is none, changes nothing.
    """
    if not _GAMMAS[0] <= gamma <= _GAMMAS[1] or abs(gamma * 2.2 - 1) < _SAME_GAMMA:
        return image
    table = _encoded(np.linspace(0, 1, 256) ** (1 / gamma)).tolist()
    return image.point(table * len(image.getbands()))


def _made(profile: bytes) -> Convert | None:
    """What turns pixels into sRGB; None if they are that, or if the profile is broken."""
    try:
        tags, mode = _tags(profile), _MODES[profile[16:20]]
        if b"A2B0" in tags or mode == "CMYK" or profile[20:24] != b"XYZ ":
            # One of tables may say that it describes sRGB.
            is_srgb = b"sRGB" in tags.get(b"desc", b"").replace(b"\0", b"")
            convert = None if is_srgb else _by_little_cms(profile, mode)
        elif mode == "L":
            convert = _by_curve(_light(tags[b"kTRC"]))
        else:
            columns = [struct.unpack_from(">3i", tags[name], 8) for name in _COLORANTS]
            curves = [_light(tags[name]) for name in _CURVES]
            convert = _by_matrix(curves, np.array(columns).T / 65536)
        if convert and not _makes_sense(convert, mode):
            return None
    except Exception:  # struct, NumPy and Little CMS raise nearly every built-in error
        return None
    return convert


def _makes_sense(convert: Convert, mode: str) -> bool:
    """Whether white stays white, about, and black black."""
    ends: tuple[Any, Any] = ((0,) * 4, (255,) * 4) if mode == "CMYK" else ("white", "black")
    white, black = (np.asarray(convert(Image.new(mode, (1, 1), end))) for end in ends)
    return bool(white.min() >= _WHITE and black.max() <= _BLACK)


_kept = lru_cache(maxsize=8)(_made)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    end = 132 + 12 * min(count, _MAX_TAGS)
    rows = struct.iter_unpack(">4sII", profile[132:end])
    return {
        name: profile[start : start + min(size, _MAX_TAG)] if name in _READ else b""
        for name, start, size in rows
    }


def _light(curve: bytes) -> Floats:
    """The light, 0 to 1, of each of 256 values; raises for a curve that is none."""
    values = np.linspace(0, 1, 256)
    if curve[:4] == b"para":
        with np.errstate(all="ignore"):
            light = _parametric(curve, values)
    elif curve[:4] == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        if count == 0:
            light = values
        elif count == 1:
            light = values ** (struct.unpack_from(">H", curve, 12)[0] / 256)
        else:
            points = np.frombuffer(curve, ">u2", count, 12) / 65535
            light = np.interp(values, np.linspace(0, 1, count), points)
    else:
        raise ValueError("no curve")
    if not np.isfinite(light).all():
        raise ValueError("no curve")
    return light.clip(0, 1).astype(np.float32)


def _parametric(curve: bytes, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ICC.1, "parametricCurveType"."""
    (kind,) = struct.unpack_from(">H", curve, 8)
    count = (1, 3, 4, 5, 7)[kind]
    told = [number / 65536 for number in struct.unpack_from(f">{count}i", curve, 12)]
    power, a, b, c, d, e, f = told + [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
    line = np.maximum(a * values + b, 0)
    if kind == 0:
        return np.asarray(line**power)
    if kind in (1, 2):  # flat below where the line crosses zero
        return np.asarray(np.where(line > 0, line**power, 0) + c)
    return np.asarray(np.where(values >= d, line**power + e, c * values + f))


def _encoded(light: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Light from 0 to 1 as the values of sRGB."""
    low, high = 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return (np.where(light <= 0.0031308, low, high) * 255 + 0.5).clip(0, 255).astype(np.uint8)


_STEPS = 1 << 14
_TABLE = _encoded(np.linspace(0, 1, _STEPS))


def _by_curve(light: Floats) -> Convert | None:
    table = _encoded(light)
    if _is_same(table, np.arange(256)):
        return None
    return lambda image: image.point(table.tolist()).convert("RGB")


def _by_matrix(curves: list[Floats], colorants: npt.NDArray[np.float64]) -> Convert | None:
    if np.abs(colorants).max() > _MAX_COLORANT:
        raise ValueError("no colours")
    matrix = (np.linalg.solve(_SRGB, colorants) * (_STEPS - 1)).astype(np.float32)

    def convert(image: Image.Image) -> Image.Image:
        bands = zip(curves, image.split(), strict=True)
        red, green, blue = [curve[np.asarray(band)] for curve, band in bands]
        # Band by band is four times as fast as all of them in one array.
        steps = [(r * red + g * green + b * blue).astype(np.int32) for r, g, b in matrix]
        return Image.merge("RGB", [Image.fromarray(_TABLE.take(s, mode="clip")) for s in steps])

    # Colours from black to white.
    levels = np.meshgrid(*[np.linspace(0, 255, 6)] * 3)
    probe = np.stack(levels, axis=-1).astype(np.uint8).reshape(6, 36, 3)
    return None if _is_same(np.asarray(convert(Image.fromarray(probe))), probe) else convert


def _is_same(some: npt.NDArray[np.integer], other: npt.NDArray[np.integer]) -> bool:
    return bool(np.abs(some.astype(int) - other).max() <= _SAME)


def _by_little_cms(profile: bytes, mode: str) -> Convert:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
        ImageCms.Flags(_NO_CACHE),
    )
    return transform.apply
