"""Which photos are alike: by their pixels, almost the same one; by an embedding, one sitting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
#: How alike the thumbnails (their correlation) and the embeddings (centred, their cosine) of two
#: files of one photo are at least: another size, frame or light. Found on pairs looked at.
SAME_PIXELS, SAME_SUBJECT = 0.95, 0.8
#: How alike embeddings are, at least, of photos of one plant and sitting.
BURST = 0.9


def thumbnails(paths: Sequence[Path]) -> np.ndarray:
    """float32 ``[N, SIDE, SIDE, 3]``, squeezed to a square."""
    found = []
    for path in paths:
        with Image.open(path) as opened:
            opened.draft("RGB", (4 * SIDE, 4 * SIDE))
            image = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        found.append(np.asarray(image, np.float32))
    return np.stack(found)


def same_photos(thumbs: np.ndarray, embeddings: np.ndarray) -> list[tuple[int, int]]:
    """Pairs, the lower index first, that are the same photo, mirrored or not.

    ``embeddings`` float ``[N, D]`` are centred and of unit length.
    """
    plain, mirrored = _flat(thumbs), _flat(thumbs[:, :, ::-1])
    pairs = []
    for i in range(len(plain) - 1):
        pixels = np.maximum(plain[i + 1 :] @ plain[i], mirrored[i + 1 :] @ plain[i])
        same = (pixels >= SAME_PIXELS) & (embeddings[i + 1 :] @ embeddings[i] >= SAME_SUBJECT)
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(same)]
    return pairs


def nearest(embeddings: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """Indices ``[N, count]`` of the most alike of ``others``, the most alike first."""
    found = [np.argsort(-(others @ one), kind="stable")[:count] for one in embeddings]
    return np.stack(found)


def _flat(thumbs: np.ndarray) -> np.ndarray:
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))
