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


def random_view(
    pixels: np.ndarray, size: int, rng: np.random.Generator, strength: float = 1.0
) -> np.ndarray:
    """A random crop of ``pixels``, altered in geometry, colour and quality.

    ``pixels`` is uint8 ``[H, W, 3]``; the view is uint8 ``[size, size, 3]``. ``strength``, 0 to 1,
    is how often a photo is made worse, as a share of the usual.
    """
    image = Image.fromarray(as_photographed(pixels, rng, strength))
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
    box = _random_box(image.width, image.height, rng)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < 0.5:
            image = enhance(image).enhance(rng.uniform(0.65, 1.35))
    if rng.random() < 0.12 * strength:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2)))
    if rng.random() < 0.3 * strength:
        image = _jpeg_artefacts(image, quality=int(rng.integers(25, 92)))
    if rng.random() < 0.15 * strength:
        image = _enlarged(image, rng)
    view = np.asarray(image)
    if rng.random() < 0.3 * strength:
        view = _in_other_light(view, rng)
    if rng.random() < 0.15 * strength:
        view = _noisy(view, rng) if rng.random() < 0.6 else _hazy(view, rng)
    return _erase(view, rng) if rng.random() < 0.2 * strength else view


def as_photographed(
    pixels: np.ndarray, rng: np.random.Generator, strength: float = 1.0
) -> np.ndarray:
    """``pixels``, or as somebody further away would have them, or with more of the same.

    Data sets show a flower that fills the frame; people photograph beds and bouquets too.
    """
    chance = rng.random()
    if chance < 0.12 * strength:
        return _small_in_the_frame(pixels, rng)
    if chance < 0.18 * strength:
        return _many(pixels, rng)
    return pixels


def _small_in_the_frame(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smaller copy somewhere on a blurred ground of the photo's own colours."""
    image = Image.fromarray(pixels)
    ground = image.resize((8, 8), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)
    if rng.random() < 0.5:  # leaves and soil have a texture
        texture = image.filter(ImageFilter.GaussianBlur(3)).rotate(180)
        ground = Image.blend(ground, texture, rng.uniform(0.2, 0.6))
    scale = rng.uniform(0.4, 0.8)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.BILINEAR)
    # Soft edges: a frame would be what the network learns.
    width, height = size
    across = np.minimum(np.arange(width), np.arange(width)[::-1]) / (0.15 * width)
    down = np.minimum(np.arange(height), np.arange(height)[::-1]) / (0.15 * height)
    mask = np.minimum(1, np.minimum(across[None, :], down[:, None])) * 255
    place = (int(rng.integers(0, image.width - width + 1)),
             int(rng.integers(0, image.height - height + 1)))  # fmt: skip
    ground.paste(small, place, Image.fromarray(mask.astype(np.uint8)))
    return np.asarray(ground)


def _many(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two to nine copies side by side, each turned and cut in its own way."""
    image = Image.fromarray(pixels)
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    width, height = image.width // columns, image.height // rows
    field = Image.new("RGB", (width * columns, height * rows))
    for row in range(rows):
        for column in range(columns):
            copy = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image
            copy = copy.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR)
            side = min(copy.size) * rng.uniform(0.6, 0.85)
            box_width, box_height = side * min(1, width / height), side * min(1, height / width)
            left = rng.uniform(0, copy.width - box_width)
            top = rng.uniform(0, copy.height - box_height)
            box = (left, top, left + box_width, top + box_height)
            cell = copy.resize((width, height), Image.Resampling.BILINEAR, box=box)
            field.paste(cell, (column * width, row * height))
    return np.asarray(field)


def _in_other_light(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Black and white, another white balance, or dusk with the noise of a small sensor."""
    chance = rng.random()
    values: np.ndarray = view.astype(np.float32)
    if chance < 0.2:
        grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
        values = np.repeat(grey[..., None], 3, axis=2)
    elif chance < 0.75:
        values *= rng.uniform(0.75, 1.25, 3).astype(np.float32)
    else:
        values = 255 * (values / 255) ** np.float32(rng.uniform(1.2, 2.2))
        values += rng.normal(0, rng.uniform(2, 12), view.shape).astype(np.float32)
    return values.clip(0, 255).astype(np.uint8)


def _enlarged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """As from a thumbnail."""
    side = round(image.width * rng.uniform(0.35, 0.8))
    kernel = Image.Resampling.BILINEAR if rng.random() < 0.8 else Image.Resampling.NEAREST
    return image.resize((side, side), Image.Resampling.BOX).resize(image.size, kernel)


def _noisy(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The noise of a sensor, or its dead and hot pixels."""
    if rng.random() < 0.7:
        noise = rng.normal(0, rng.uniform(4, 40), view.shape)
        return (view + noise).clip(0, 255).astype(np.uint8)
    noisy = view.copy()
    dead = rng.random(view.shape) < rng.uniform(0.005, 0.1)
    noisy[dead] = rng.choice(np.array([0, 255], np.uint8), int(dead.sum()))
    return noisy


def _hazy(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Behind haze, or with little contrast: part of the way to one light."""
    light, share = rng.uniform(60, 255), rng.uniform(0.2, 0.75)
    return (view * (1 - share) + light * share).astype(np.uint8)


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
