"""The known score: how much a photo is like those a network was trained on; higher is more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lib.photo_features import Outputs
from lib.rejection_figures import moments, softmax

#: Two products of 255 and 64 fit the int16 in which processors without VNNI add pairs.
LARGEST_WEIGHT = 63
ZERO_POINT = 128
CONFIDENCE, PROTOTYPES, PLANE = "confidence", "prototypes", "plane"


@dataclass(frozen=True)
class Score:
    """``known_score``: the sum of its parts, each times its weight, and an offset.

    The parts: the logarithm of the largest probability; the largest cosine to one of
    ``prototypes`` (int8 ``[K, D]``, times ``scales`` ``[K]`` of length 1); and, where ``plane``
    isn't ``None``, the product with it (float32 ``[D]``). Features are taken for their direction
    from ``centre`` (float32 ``[D]``), and rounded to ``step`` for the prototypes.
    """

    centre: np.ndarray
    step: float
    prototypes: np.ndarray
    scales: np.ndarray
    plane: np.ndarray | None
    weights: dict[str, float]
    offset: float = 0.0

    def parts(self, outputs: Outputs, temperature: float = 1.0) -> dict[str, np.ndarray]:
        """Each part ``[N]``, as the graph computes it."""
        unit = directions(outputs.features, self.centre)
        rounded = np.clip(np.round(unit / np.float32(self.step)), -ZERO_POINT, 255 - ZERO_POINT)
        products = rounded.astype(np.float32) @ self.prototypes.T.astype(np.float32)
        found = {
            CONFIDENCE: np.log(softmax(outputs.logits / temperature).max(axis=1)),
            PROTOTYPES: (products * (self.scales * np.float32(self.step))).max(axis=1),
        }
        if self.plane is not None:
            found[PLANE] = unit @ self.plane
        return found

    def of(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """float64 ``[N]``: the score of photos with such parts."""
        total = sum(weight * parts[name] for name, weight in self.weights.items())
        return np.asarray(total + self.offset)

    def balanced(self, parts: dict[str, np.ndarray], weights: np.ndarray) -> Score:
        """With weights by which all parts spread alike over these (weighted) photos, around 0."""
        found = {name: moments(values, weights) for name, values in parts.items()}
        scaled = {name: 1 / (max(spread, 1e-6) * len(found)) for name, (_, spread) in found.items()}
        offset = -sum(scaled[name] * mean for name, (mean, _) in found.items())
        return replace(self, weights=scaled, offset=offset)


def directions(features: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """float32 ``[N, D]`` of length 1, as seen from ``centre``."""
    moved = features - centre
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12))
