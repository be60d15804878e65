"""Flowers drawn from a number: pictures that every machine can make for itself.

Only arithmetic that IEEE 754 fixes to the last bit is used (no sine, no power, no random
generator of a library), so that a seed gives the same bytes on any processor.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 256

_Plane = npt.NDArray[np.float64]


def save(seed: int, path: Path) -> None:
    """Write drawing ``seed`` as BMP: no compression whose bytes depend on a library."""
    Image.fromarray(draw(seed)).save(path, "BMP")


def draw(seed: int) -> npt.NDArray[np.uint8]:
    """uint8 ``[SIDE, SIDE, 3]``: a flower of 3 to 12 petals on a shaded ground."""
    pick = _picker(seed)
    axis = (np.arange(SIDE) + 0.5) / (SIDE / 2) - 1
    x, y = np.broadcast_to(axis, (SIDE, SIDE)), np.broadcast_to(axis[:, None], (SIDE, SIDE))
    radius = np.sqrt(x * x + y * y)
    wave = _cosine(x / radius, y / radius, 3 + pick(10))
    size, depth, heart = (50 + pick(40)) / 100, (5 + pick(45)) / 100, (8 + pick(25)) / 100
    petals, core = [[pick(256) for _ in range(3)] for _ in range(2)]
    ground = [pick(90), 60 + pick(120), pick(90)]
    picture = _shaded(ground, 0.8 + 0.2 * y)
    on_petal = radius < size * (1 + depth / 2 * (wave - 1))
    shade = np.minimum(1, 0.55 + 0.45 * radius / size) * (0.9 + 0.1 * wave)
    picture[on_petal] = _shaded(petals, shade)[on_petal]
    picture[radius < heart] = core
    return picture.astype(np.uint8)


def _cosine(x: _Plane, y: _Plane, n: int) -> _Plane:
    """The cosine of ``n`` times the angle of the unit vectors (``x``, ``y``)."""
    real, imaginary = np.ones_like(x), np.zeros_like(x)
    for _ in range(n):
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
    return real


def _shaded(colour: list[int], light: _Plane) -> _Plane:
    return light[..., None] * np.array(colour, dtype=np.float64)


def _picker(seed: int) -> Callable[[int], int]:
    """A function that gives the next number below ``n`` (Numerical Recipes' generator)."""
    state = seed * 2654435761 % 2**32

    def pick(n: int) -> int:
        nonlocal state
        state = (1664525 * state + 1013904223) % 2**32
        return (state >> 16) % n

    return pick
