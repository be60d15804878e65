"""Random views of a photo for training, made with Pillow's own kernels.

The resize is the one that inference uses (antialiased bilinear), so the network never
sees a kernel in production that it has not been trained on.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

CROP_SCALE = (0.3, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)


def random_view(pixels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of ``pixels``, altered in geometry, colour and quality.

    ``pixels`` is uint8 ``[H, W, 3]``; the view is uint8 ``[size, size, 3]``.
    """
    image = Image.fromarray(pixels)
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
    box = _random_box(image.width, image.height, rng)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < 0.5:
            image = enhance(image).enhance(rng.uniform(0.65, 1.35))
    if rng.random() < 0.1:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.3:
        image = _jpeg_artefacts(image, quality=int(rng.integers(40, 92)))
    view = np.asarray(image)
    return _erase(view, rng) if rng.random() < 0.2 else view


def _random_box(
    width: int, height: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """The box of a RandomResizedCrop (Inception's), clipped to the image."""
    area = width * height * rng.uniform(*CROP_SCALE)
    ratio = math.exp(rng.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
    crop_width = min(width, math.sqrt(area * ratio))
    crop_height = min(height, math.sqrt(area / ratio))
    left = rng.uniform(0, width - crop_width)
    top = rng.uniform(0, height - crop_height)
    return left, top, left + crop_width, top + crop_height


def _jpeg_artefacts(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _erase(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover a random rectangle with noise, so that no single petal decides."""
    size = view.shape[0]
    height, width = rng.integers(size // 8, size // 3, 2)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    erased = view.copy()
    erased[top : top + height, left : left + width] = rng.integers(0, 256, (height, width, 3))
    return erased


def mix(
    views: np.ndarray, *targets: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Blend a batch with itself shuffled: CutMix or mixup at even odds.

    ``views`` is uint8 ``[N, S, S, 3]``; each of ``targets`` (``[N, ...]`` float32) is
    blended by the share of pixels.
    """
    order = rng.permutation(len(views))
    if rng.random() < 0.5:
        share = rng.beta(1.0, 1.0)
        size = views.shape[1]
        side = round(size * math.sqrt(1 - share))
        top, left = rng.integers(0, size - side + 1, 2)
        mixed = views.copy()
        window = np.s_[:, top : top + side, left : left + side]
        mixed[window] = views[order][window]
        share = 1 - (side / size) ** 2
    else:
        share = rng.beta(0.4, 0.4)
        blend = views * np.float32(share) + views[order] * np.float32(1 - share)
        mixed = blend.round().astype(np.uint8)
    return mixed, *(share * target + (1 - share) * target[order] for target in targets)
