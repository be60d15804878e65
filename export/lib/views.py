"""What a network is shown of the photos, and what it should say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from flowers_onnx.metadata import Preprocess
from lib.augment import mix, random_view
from lib.dataset import UNNAMED, Photo
from lib.photo_classifier import CROP_FRACTION, KERNEL, read_photo
from lib.sampling import draw

LABEL_SMOOTHING = 0.1
#: Share of the batches whose photos are blended with each other.
MIX_RATE = 0.5


@dataclass(frozen=True)
class Targets:
    """What the network should say of each photo: ``[N, classes]`` and ``[N, D]`` or none."""

    probabilities: np.ndarray
    embedding: np.ndarray | None

    def batch(self, index: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = (self.probabilities, self.embedding)
        return tuple(part[index] for part in parts if part is not None)


def taught(targets: Targets, soft: np.ndarray, embedding: np.ndarray, weight: float) -> Targets:
    """With what the teacher says; a photo that it hasn't seen has zeros, and no direction."""
    seen = soft.any(axis=1)
    probabilities = targets.probabilities.copy()
    probabilities[seen] = (1 - weight) * probabilities[seen] + weight * soft[seen]
    return Targets(probabilities, embedding)


def smooth_one_hot(truth: np.ndarray, classes: int) -> np.ndarray:
    """float32 ``[N, classes]``: ``LABEL_SMOOTHING`` of each row is spread over all classes.

    All of it is for a photo of none of them.
    """
    one_hot = np.eye(classes, dtype=np.float32)[truth]
    one_hot[truth == UNNAMED] = 1 / classes
    return np.asarray(one_hot * (1 - LABEL_SMOOTHING) + np.float32(LABEL_SMOOTHING / classes))


class Views(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of random views in a random order; a fresh choice and fresh views every epoch.

    ``weights`` says how often a photo is seen in an epoch, ``strength``, 0 to 1, how often views
    are made worse and photos blended, as a share of the usual.
    """

    def __init__(
        self,
        photos: list[np.ndarray],
        targets: Targets,
        weights: np.ndarray,
        size: int,
        batch: int,
        seed: int,
        strength: float = 1.0,
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self._photos, self._targets, self._weights = photos, targets, weights
        self._size, self._batch, self._seed = size, batch, seed
        self._epoch, self._strength = 0, strength
        self.on_epoch_begin()

    def __len__(self) -> int:
        return len(self._photos) // self._batch

    def on_epoch_begin(self) -> None:
        rng = np.random.default_rng((self._seed, self._epoch))
        # Rounding leaves a few too many or too few: begin again behind the end.
        self._order = np.resize(draw(self._weights, rng), len(self._photos))

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        rng = np.random.default_rng((self._seed, self._epoch, step))
        index = self._order[step * self._batch : (step + 1) * self._batch]
        views = np.stack(
            [random_view(self._photos[i], self._size, rng, self._strength) for i in index]
        )
        targets = self._targets.batch(index)
        if rng.random() < MIX_RATE * self._strength:
            views, *blended = mix(views, *targets, rng=rng)
            targets = tuple(blended)
        return views, targets


def centre_views(photos: Sequence[Photo], size: int) -> np.ndarray:
    """uint8 ``[N, size, size, 3]``: photos exactly as inference sees them, from file to crop."""
    preprocess = Preprocess(size, CROP_FRACTION, KERNEL)
    return np.stack([read_photo(photo.path, preprocess) for photo in photos])


def validation(views: np.ndarray, truth: np.ndarray, targets: Targets) -> tuple[Any, Any]:
    """What Keras validates on: ``views`` and the labels; of embeddings nothing is known."""
    one_hot = np.eye(targets.probabilities.shape[1], dtype=np.float32)[truth]
    if targets.embedding is None:
        return views, (one_hot,)
    unknown = np.zeros((len(views), targets.embedding.shape[1]), np.float32)
    return views, (one_hot, unknown)
