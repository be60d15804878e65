"""ICC profiles of a few hundred bytes: colour spaces by their primaries, grey, CMYK."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import product

import numpy as np

Chromaticities = Sequence[tuple[float, float]]

D50 = (0.9642, 1.0, 0.8249)
_D65_WHITE, _D50_WHITE = (0.3127, 0.3290), (0.3457, 0.3585)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def profile(
    space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ", kind: bytes = b"mntr"
) -> bytes:
    """A profile of version 2 with these tags, and a name and a white of its own."""
    name = b"Test\0"
    everything = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"wtpt": xyz(D50),
        **tags,
    }
    at, table, body = 132 + 12 * len(everything), b"", b""
    for tag, content in everything.items():
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    content = struct.pack(">I", len(everything)) + table + body
    head = struct.pack(">I4sI4s4s4s", 128 + len(content), b"\0\0\0\0", 0x02100000, kind, space, pcs)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + content


def xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256))


def srgb_curve(points: int = 1024) -> bytes:
    values = np.linspace(0, 1, points)
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(
        f">I{points}H", points, *(light * 65535).round().astype(int)
    )


#: As Apple writes it.
PARAMETRIC = b"para\0\0\0\0\0\3\0\0" + struct.pack(
    ">5i", *(round(value * 65536) for value in (2.4, 0.94786, 0.05213, 0.07739, 0.04045))
)


def rgb(primaries: Chromaticities, curve: bytes, white: tuple[float, float] = _D65_WHITE) -> bytes:
    """``primaries`` are x and y of red, green and blue."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    target = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    matrix = columns * np.linalg.solve(columns, target)
    cones = np.diag((_BRADFORD @ D50) / (_BRADFORD @ target))
    adapted = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ matrix
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {name: xyz(adapted[:, at].tolist()) for at, name in enumerate(names)}
    return profile(b"RGB ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


def grey(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve})


def cmyk() -> bytes:
    """A printer whose inks are a third weaker than ideal ones: a table with two steps an ink."""
    inks = 4
    identity = bytes(range(256))
    table = b""
    for corner in product((0, 1), repeat=inks):
        *colours, black = corner
        light = [(1 - 0.67 * ink) * (1 - 0.67 * black) for ink in colours]
        table += bytes(_lab(light))
    head = struct.pack(
        ">4sIBBBB9i", b"mft1", 0, inks, 3, 2, 0, *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    )
    lut = head + identity * inks + table + identity * 3
    return profile(b"CMYK", {b"A2B0": lut}, pcs=b"Lab ", kind=b"prtr")


def _lab(light: Sequence[float]) -> list[int]:
    """The 8-bit Lab of linear sRGB."""
    to_xyz = np.array(
        [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
    )
    ratio = to_xyz @ np.array(light) / D50
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lab = (116 * f[1] - 16) * 2.55, 500 * (f[0] - f[1]) + 128, 200 * (f[1] - f[2]) + 128
    return [min(255, max(0, round(float(value)))) for value in lab]


SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
SRGB = rgb(SRGB_PRIMARIES, srgb_curve())
SRGB_GAMMA = rgb(SRGB_PRIMARIES, gamma(2.2))
LINEAR = rgb(SRGB_PRIMARIES, gamma(1))
P3 = rgb(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), PARAMETRIC)
ADOBE = rgb(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), gamma(2.2))
PROPHOTO = rgb(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), gamma(1.8), _D50_WHITE)
GREY = grey(gamma(1))
CMYK = cmyk()
