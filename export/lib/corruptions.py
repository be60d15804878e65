"""Fifteen ways in which a photo goes wrong, at five levels each.

The kinds and the parameters are those of ImageNet-C (Hendrycks and Dietterich, "Benchmarking
Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019), for squares that a
network sees at 224 pixels. The packages that offer them want OpenCV, scikit-image and numba, and
the released ones fail with NumPy 2; they draw from NumPy's global generator, and their photos of
frost have no stated licence. So they are written anew with NumPy, SciPy and Pillow; frost is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import fft, ndimage, signal

LEVELS = 5
#: The side of a square of which the network sees seven eighths: 224 pixels.
SIDE = 256

Pixels = np.ndarray
Kind = Callable[[Pixels, int, np.random.Generator], Pixels]


def corrupt(kind: str, pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """``pixels``, uint8 ``[S, S, 3]``, after one of ``KINDS`` at a level of 1 to ``LEVELS``."""
    found = KINDS[kind](np.asarray(pixels, np.float32) / 255, level - 1, rng)
    return np.asarray(np.clip(found, 0, 1) * 255).astype(np.uint8)


# Each kind takes and gives float32 [S, S, 3], 0 to 1, and has the level as 0 to 4.


def gaussian_noise(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Of a sensor in poor light."""
    return x + rng.normal(scale=(0.08, 0.12, 0.18, 0.26, 0.38)[level], size=x.shape)


def shot_noise(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Of few photons."""
    photons = (60, 25, 12, 5, 3)[level]
    return np.asarray(rng.poisson(x * photons) / photons)


def impulse_noise(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Values that are lost: black or white."""
    amount = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    lost = rng.random(x.shape) < amount
    return np.where(lost, rng.integers(0, 2, x.shape), x)


def defocus_blur(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Out of focus: each point a disc."""
    radius, soft = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[level]
    reach = max(8, radius) + 2
    y, x_ = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = ndimage.gaussian_filter((y**2 + x_**2 <= radius**2).astype(np.float32), soft)
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    weights = (disc / disc.sum())[..., None]
    return np.asarray(signal.fftconvolve(padded, weights, mode="valid", axes=(0, 1)))


def glass_blur(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Behind frosted glass: pixels take a neighbour's place, one after the other."""
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[level]
    side = len(x)
    places = np.arange(side * side).reshape(side, side)
    inner = places[side - reach : reach : -1, side - reach : reach : -1].ravel()
    moved = places.ravel().tolist()
    for _ in range(times):
        dy, dx = rng.integers(-reach, reach, (2, inner.size))
        for place, neighbour in zip(inner.tolist(), (inner + dy * side + dx).tolist(), strict=True):
            moved[place] = moved[neighbour]
    shuffled = _blur(x, sigma).reshape(-1, 3)[moved].reshape(x.shape)
    return _blur(shuffled, sigma)


def motion_blur(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A camera that moved."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[level]
    return _moved(x, radius, sigma, rng.uniform(-45, 45))


def zoom_blur(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """A camera that came nearer."""
    farthest, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[level]
    factors = np.arange(1, farthest, step)
    layers = [x, *(_zoomed(x, factor) for factor in factors)]
    return np.asarray(np.mean(layers, axis=0))


def snow(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Flakes that fall, in a whitened picture."""
    mean, spread, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[level]
    flakes = _zoomed(rng.normal(mean, spread, (*x.shape[:2], 1)).astype(np.float32), zoom)
    flakes = np.where(flakes < least, 0, flakes.clip(0, 1))
    flakes = _moved(flakes, radius, sigma, rng.uniform(-135, -45))
    pale = np.maximum(x, _grey(x) * 1.5 + 0.5)
    return np.asarray(kept * x + (1 - kept) * pale + flakes + np.rot90(flakes, 2))


def frost(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Ice on the lens: veins of a plasma, bluish white, of a mean brightness of about 0.4."""
    kept, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    side = len(x)
    veins = 1 - np.abs(2 * _plasma(side, 1.3, rng) - 1)
    haze = _plasma(side, 1.5, rng)
    crystals = (0.65 * veins**4 + 0.45 * haze)[..., None] * np.array([0.9, 0.97, 1.05])
    return np.asarray(kept * x + ice * crystals.clip(0, 1))


def fog(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Thick air, here more and there less."""
    amount, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[level]
    brightest = x.max()
    thick = x + amount * _plasma(len(x), decay, rng)[..., None]
    return np.asarray(thick * brightest / (brightest + amount))


def brightness(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Overexposed: the value of HSV is raised, hue and saturation stay."""
    value = x.max(axis=-1, keepdims=True)
    raised = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[level], 1)
    return np.asarray(np.where(value > 0, x / np.maximum(value, 1e-6), 1) * raised)


def contrast(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Faint: all pixels near the mean."""
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean)


def elastic(x: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Bent and stretched."""
    shift, sigma, corner = (
        244
        * np.array(
            (
                (2, 0.7, 0.1),
                (2, 0.08, 0.2),
                (0.05, 0.01, 0.02),
                (0.07, 0.01, 0.02),
                (0.12, 0.01, 0.02),
            )
        )[level]
    )
    side = len(x)
    third, middle = side // 3, side // 2
    given = middle + third * np.array([[1, 1], [1, -1], [-1, -1]], float)
    moved = given + rng.uniform(-corner, corner, given.shape)
    affine = np.linalg.solve(np.c_[moved, np.ones(3)], given)  # back to where a point was
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).astype(
        np.float32
    )
    for axis in range(2):
        bends = rng.uniform(-1, 1, (side, side)).astype(np.float32)
        places[..., axis] += shift * _smooth(bends, sigma)
    found = (places @ affine[:2] + affine[2]).transpose(2, 0, 1)
    bent = [ndimage.map_coordinates(x[..., c], found, order=1, mode="reflect") for c in range(3)]
    return np.stack(bent, axis=-1)


def pixelate(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Enlarged from few pixels."""
    small = int(len(x) * (0.6, 0.5, 0.4, 0.3, 0.25)[level])
    box = Image.Resampling.BOX
    return _read(_image(x).resize((small, small), box).resize(x.shape[1::-1], box))


def jpeg(x: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Compressed too much."""
    file = io.BytesIO()
    _image(x).save(file, "JPEG", quality=(25, 18, 15, 10, 7)[level])
    with Image.open(file) as opened:
        return _read(opened)


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        *(gaussian_noise, shot_noise, impulse_noise),
        *(defocus_blur, glass_blur, motion_blur, zoom_blur),
        *(snow, frost, fog, brightness),
        *(contrast, elastic, pixelate, jpeg),
    )
}


def _image(x: Pixels) -> Image.Image:
    return Image.fromarray((x * 255).round().astype(np.uint8))


def _read(image: Image.Image) -> Pixels:
    return np.asarray(image, np.float32) / 255


def _grey(x: Pixels) -> Pixels:
    return (x @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]


def _blur(x: Pixels, sigma: float) -> Pixels:
    return np.asarray(ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest"))


def _smooth(x: Pixels, sigma: float) -> Pixels:
    """The same for any ``sigma`` at one price, ``[S, S]``, the edges mirrored."""
    waves = np.exp(-((np.pi * sigma * np.arange(len(x)) / len(x)) ** 2) / 2)
    return np.asarray(fft.idctn(fft.dctn(x) * np.outer(waves, waves)))


def _zoomed(x: Pixels, factor: float) -> Pixels:
    """The middle of ``x``, enlarged to its size."""
    side = len(x)
    edge = (side - side / factor) / 2
    box = (edge, edge, side - edge, side - edge)
    bands = [Image.fromarray(np.ascontiguousarray(x[..., c])) for c in range(x.shape[2])]
    kernel = Image.Resampling.BILINEAR
    return np.stack([np.asarray(band.resize((side, side), kernel, box)) for band in bands], -1)


def _moved(x: Pixels, radius: int, sigma: float, angle: float) -> Pixels:
    """Blurred into one direction, as ImageMagick does: half a bell, the edge repeated."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    turned = np.deg2rad(angle)
    reach = len(steps)
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    blurred = np.zeros(x.shape, np.float32)
    for step, weight in zip(steps, weights, strict=True):
        top = reach + round(step * np.sin(turned))
        left = reach + round(step * np.cos(turned))
        blurred += weight * padded[top : top + len(x), left : left + x.shape[1]]
    return blurred


def _plasma(side: int, decay: float, rng: np.random.Generator) -> Pixels:
    """Clouds by the diamond-square algorithm: float ``[side, side]`` from 0 to 1.

    The lower ``decay``, the finer they are.
    """
    size = 1 << (side - 1).bit_length()
    clouds = np.zeros((size, size))
    step, wobble = size, 1.0
    while step >= 2:
        half = step // 2
        corners = clouds[::step, ::step]
        rows = corners + np.roll(corners, -1, 0)
        centres = (rows + np.roll(rows, -1, 1)) / 4
        clouds[half::step, half::step] = centres + rng.uniform(-wobble, wobble, centres.shape)
        middles = clouds[half::step, half::step]
        for place, neighbours in (
            ((slice(0, None, step), slice(half, None, step)), (np.roll(middles, 1, 0), 1)),
            ((slice(half, None, step), slice(0, None, step)), (np.roll(middles, 1, 1), 0)),
        ):
            across, axis = neighbours
            mean = (middles + across + corners + np.roll(corners, -1, axis)) / 4
            clouds[place] = mean + rng.uniform(-wobble, wobble, mean.shape)
        step, wobble = half, wobble / decay**2
    clouds -= clouds.min()
    return np.asarray(clouds / clouds.max())[:side, :side]
