"""The colours of a heat map over a photo, in every page and picture of the program."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Red, green, blue (0 to 255) and opacity (0 to 1) at a share of the hottest cell. Ever lighter,
#: so that it needs no eye for colours; dark blue to yellow by way of red has nothing in common
#: with a leaf, and is seen on petals once these are faded.
ANCHORS = (
    (0.0, 60, 10, 170, 0.0),
    (0.25, 190, 20, 190, 0.4),
    (0.5, 255, 90, 110, 0.51),
    (0.75, 255, 190, 50, 0.61),
    (1.0, 255, 255, 120, 0.72),
)
#: How much greyer and how much darker the photo is below it: else it is lost on a yellow flower.
GREYER, DARKER = 0.65, 0.25

#: What speaks for a class in all, in logits (the mean over all cells of what is above 0), from
#: where on the colours are whole: it makes a class e times as likely. What is less is paler, lest
#: next to nothing looked like a reason.
FULL = 1.0
#: Colours of the scale: as many as the numbers of a byte.
_STEPS = 255
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # as grayscale() of CSS has it


def heat_rgba(
    cells: npt.NDArray[np.float32], size: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """The colours of a heat map's ``cells``, float32 ``[rows, columns]``: uint8 ``[H, W, 4]``.

    A pixel a cell, or ``size`` (width, height) with smooth changes between the cells' middles.
    The hottest cell is the end of the scale, or short of it where all of them say less than
    ``FULL``; those of 0 and below are transparent. Opacity is straight, not multiplied in.
    """
    speaking = float(cells.clip(0).mean())
    end = float(cells.max()) * max(1, FULL / speaking) if speaking else 1
    if size is not None:  # numbers, not colours: so that what lies between is of the scale too
        cells = np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC))
    return colours()[(cells * (_STEPS / end)).round().clip(0, _STEPS).astype(np.uint8)]


@functools.cache
def colours() -> npt.NDArray[np.uint8]:
    """The scale, from nothing to most: uint8 ``[256, 4]``. To interpolate each pixel takes long."""
    at, *channels = zip(*ANCHORS, strict=True)
    shares = np.linspace(0, 1, _STEPS + 1)
    made = np.stack([np.interp(shares, at, channel) for channel in channels], -1)
    made[:, 3] *= 255
    return made.round().astype(np.uint8)


#: What ``hottest`` counts, in words.
PLACES = {
    "en": (
        *("upper left", "upper middle", "upper right", "left", "middle", "right"),
        *("lower left", "lower middle", "lower right"),
    ),
    "es": (
        *("arriba a la izquierda", "arriba en el centro", "arriba a la derecha"),
        *("la izquierda", "el centro", "la derecha"),
        *("abajo a la izquierda", "abajo en el centro", "abajo a la derecha"),
    ),
}


def hottest(cells: npt.NDArray[np.float32]) -> int:
    """Which of nine places of a photo, row by row, has most of what speaks for a class.

    For those who see no map: 0 is the upper left, 8 the lower right.
    """
    weights = np.maximum(cells, 0).astype(np.float64) ** 2
    if not (total := weights.sum()):
        return 4
    rows, columns = ((np.arange(count) + 0.5) / count for count in cells.shape)
    down = float(weights.sum(1) @ rows / total)
    across = float(weights.sum(0) @ columns / total)
    return 3 * min(int(3 * down), 2) + min(int(3 * across), 2)


def faded(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A photo, uint8 RGB ``[H, W, 3]``, as it is below a heat map."""
    grey = (pixels @ _LUMA)[..., np.newaxis]
    seen = (pixels * np.float32(1 - GREYER) + grey * GREYER) * (1 - DARKER)
    return seen.round().astype(np.uint8)


def heated(pixels: npt.NDArray[np.uint8], cells: npt.NDArray[np.float32]) -> Image.Image:
    """A photo, uint8 RGB ``[H, W, 3]``, with a heat map over it, in RGB."""
    over = heat_rgba(cells, (pixels.shape[1], pixels.shape[0]))
    below = Image.fromarray(faded(pixels)).convert("RGBA")
    return Image.alpha_composite(below, Image.fromarray(over, "RGBA")).convert("RGB")


def style() -> str:
    """The same for a page's style: ``--faded``, a filter; ``--heat``, the scale as an image."""
    stops = ", ".join(
        f"rgb({red} {green} {blue} / {opacity:.0%}) {share:.0%}"
        for share, red, green, blue, opacity in ANCHORS
    )
    return (
        f":root {{\n  --faded: grayscale({GREYER}) brightness({1 - DARKER});\n"
        f"  --heat: linear-gradient(to right, {stops});\n}}\n"
    )
