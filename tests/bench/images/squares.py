"""What the network would take of a picture, and how far two of them are from each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowers_onnx.metadata import Preprocess

Pixels = npt.NDArray[np.uint8]
#: In levels of 255. Rounding, chroma filters and a JPEG reduced in its decoder stay below; what is
#: inverted, turned, moved, black or of other colours is above one of them.
MEAN, COARSE = 4.0, 20.0
_BLOCKS = 28


class Distance(NamedTuple):
    """The mean over all samples, and the largest over the means of small blocks."""

    mean: float
    coarse: float

    @property
    def same(self) -> bool:
        """Whether both show the same."""
        return self.mean <= MEAN and self.coarse <= COARSE


def square(pixels: Pixels, preprocess: Preprocess) -> Pixels:
    """As ``flowers_onnx.pixels`` does, without Pillow: the centred square, by a triangle filter."""
    height, width = pixels.shape[:2]
    side = min(width, height) * preprocess.crop_fraction
    rows, top, bottom = _weights((height - side) / 2, side, height, preprocess.size)
    columns, left, right = _weights((width - side) / 2, side, width, preprocess.size)
    part = pixels[top:bottom, left:right].astype(np.float32)
    found = np.einsum("oh,hwc->owc", rows, part, optimize=True)
    found = np.einsum("ow,hwc->hoc", columns, found, optimize=True)
    small: Pixels = found.round().clip(0, 255).astype(np.uint8)
    return small


def _weights(
    start: float, side: float, length: int, size: int
) -> tuple[npt.NDArray[np.float32], int, int]:
    """``[size, n]`` of the samples from the one to the other."""
    scale = side / size
    support = max(scale, 1.0)
    centres = start + (np.arange(size) + 0.5) * scale
    first = max(0, int(start - support - 1))
    last = min(length, int(start + side + support + 2))
    offsets = (np.arange(first, last)[None] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0, 1 - np.abs(offsets))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), first, last


def distance(one: Pixels, other: Pixels) -> Distance:
    """Between two squares of one size."""
    gap = np.abs(one.astype(np.int16) - other)
    size = one.shape[0] // _BLOCKS * _BLOCKS
    means = [
        part[:size, :size].astype(np.float32).reshape(_BLOCKS, size // _BLOCKS, _BLOCKS, -1, 3)
        .mean((1, 3)) for part in (one, other)
    ]  # fmt: skip
    return Distance(round(float(gap.mean()), 2), round(float(np.abs(means[0] - means[1]).max()), 1))
