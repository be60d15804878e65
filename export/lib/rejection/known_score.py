"""The known score: how much a photo is like those a network was trained on; higher is more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lib.photo_features import Outputs
from lib.rejection.figures import moments, softmax

#: Two products of 255 and 64 fit the int16 in which processors without VNNI add pairs.
LARGEST_WEIGHT = 63
ZERO_POINT = 128
CONFIDENCE, PROTOTYPES = "confidence", "prototypes"


@dataclass(frozen=True)
class Score:
    """``known_score``: confidence + prototypes + the smallest of the planes, each as scaled.

    The confidence is the logarithm of the largest probability. ``prototypes`` (int8 ``[K, D]``,
    times ``scales`` ``[K]`` of length 1) give the largest cosine, ``planes`` (float32 ``[P, D]``,
    ``P`` may be 0) a product each. Features are taken for their direction from ``centre``
    (float32 ``[D]``), and rounded to ``step`` for the prototypes. A part is multiplied by its
    ``factors`` and has its ``shifts`` added, both by name.
    """

    centre: np.ndarray
    step: float
    prototypes: np.ndarray
    scales: np.ndarray
    planes: np.ndarray
    factors: dict[str, float] = field(default_factory=dict)
    shifts: dict[str, float] = field(default_factory=dict)

    @property
    def plane_names(self) -> list[str]:
        """What the planes go by."""
        return [f"plane {number}" for number in range(len(self.planes))]

    def parts(self, outputs: Outputs, temperature: float = 1.0) -> dict[str, np.ndarray]:
        """Each part ``[N]``, as the graph computes it, before scaling."""
        unit = directions(outputs.features, self.centre)
        rounded = np.clip(np.round(unit / np.float32(self.step)), -ZERO_POINT, 255 - ZERO_POINT)
        products = rounded.astype(np.float32) @ self.prototypes.T.astype(np.float32)
        return {
            CONFIDENCE: np.log(softmax(outputs.logits / temperature).max(axis=1)),
            PROTOTYPES: (products * (self.scales * np.float32(self.step))).max(axis=1),
            **dict(zip(self.plane_names, (unit @ self.planes.T).T, strict=True)),
        }

    def of(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """float64 ``[N]``: the score of photos with such parts."""
        scaled = {
            name: values * self.factors[name] + self.shifts[name] for name, values in parts.items()
        }
        total = scaled[CONFIDENCE] + scaled[PROTOTYPES]
        if self.plane_names:
            total = total + np.min([scaled[name] for name in self.plane_names], axis=0)
        return np.asarray(total)

    def balanced(self, parts: dict[str, np.ndarray], weights: np.ndarray) -> Score:
        """Scaled so that all parts spread alike over these (weighted) photos, around 0."""
        found = {name: moments(values, weights) for name, values in parts.items()}
        factors = {name: 1 / max(spread, 1e-6) for name, (_, spread) in found.items()}
        shifts = {name: -mean * factors[name] for name, (mean, _) in found.items()}
        return replace(self, factors=factors, shifts=shifts)


def directions(features: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """float32 ``[N, D]`` of length 1, as seen from ``centre``."""
    moved = features - centre
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12))
