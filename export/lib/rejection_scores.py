"""Scores that say how much a photo is like those a network was trained on: higher is more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from lib.photo_features import Outputs
from lib.rejection_figures import moments, softmax

Scorer = Callable[[Outputs], np.ndarray]
_CHUNK = 512
#: Two products of 255 and 64 fit the int16 in which processors without VNNI add pairs.
LARGEST_WEIGHT = 63
ZERO_POINT = 128
#: scikit-learn's C of the plane between named and unnamed photos.
STRENGTH = 3.0
CONFIDENCE, PROTOTYPES, PLANE = "confidence", "prototypes", "plane"


@dataclass(frozen=True)
class Reference:
    """What scores are made of: photos that the network was trained on.

    ``targets`` int ``[N]`` are the classes of ``named``; ``unnamed`` are photos of none of them.
    """

    named: Outputs
    targets: np.ndarray
    unnamed: Outputs | None = None

    @property
    def centre(self) -> np.ndarray:
        """float32 ``[D]``: the mean of all features."""
        return np.asarray(self.named.features.mean(axis=0), np.float32)

    def without(self, rows: np.ndarray) -> Reference:
        """Less the named photos of which ``rows`` (bool ``[N]``) is true."""
        return replace(self, named=self.named[~rows], targets=self.targets[~rows])


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


def fit(reference: Reference, per_class: int) -> Score:
    """A score that isn't balanced yet."""
    rows = directions(reference.named.features, reference.centre)
    middles = prototypes(rows, reference.targets, per_class)
    scales = np.maximum(np.abs(middles).max(axis=1), 1e-12) / LARGEST_WEIGHT
    return Score(
        centre=reference.centre,
        step=float(np.abs(rows).max() / (ZERO_POINT - 1)),
        prototypes=np.round(middles / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
        plane=None if reference.unnamed is None else plane(reference),
        weights={},
    )


def prototypes(rows: np.ndarray, targets: np.ndarray, per_class: int) -> np.ndarray:
    """float32 ``[K, D]`` of length 1: the middles of up to ``per_class`` groups of each class."""
    found = []
    for target in np.unique(targets):
        own = rows[targets == target]
        groups = min(per_class, len(np.unique(own, axis=0)))
        if groups <= 1:
            found.append(own.mean(axis=0, keepdims=True))
        else:
            found.append(KMeans(groups, n_init=2, random_state=0).fit(own).cluster_centers_)
    middles = np.concatenate(found)
    length = np.linalg.norm(middles, axis=1, keepdims=True)
    return np.asarray(middles / np.maximum(length, 1e-12), np.float32)


def plane(reference: Reference, strength: float = STRENGTH) -> np.ndarray:
    """float32 ``[D]``: across it, a logistic regression has named and unnamed photos."""
    if reference.unnamed is None:
        raise ValueError("there are no photos of none of the classes")
    features = np.concatenate([reference.named.features, reference.unnamed.features])
    known = np.arange(len(features)) < len(reference.named)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit(directions(features, reference.centre), known)
    return np.asarray(model.coef_[0], np.float32)


def max_probability(outputs: Outputs) -> np.ndarray:
    """The confidence."""
    return np.asarray(softmax(outputs.logits).max(axis=1))


def max_logit(outputs: Outputs) -> np.ndarray:
    """What the confidence is made of."""
    return np.asarray(outputs.logits.max(axis=1))


def energy(outputs: Outputs) -> np.ndarray:
    """The logarithm of the sum of the exponentials of all logits."""
    top = outputs.logits.max(axis=1)
    return np.asarray(top + np.log(np.exp(outputs.logits - top[:, None]).sum(axis=1)))


def neighbours(reference: Reference, count: int) -> Scorer:
    """The cosine to the ``count``-th nearest named photo."""
    known = directions(reference.named.features, reference.centre)

    def score(outputs: Outputs) -> np.ndarray:
        rows = directions(outputs.features, reference.centre)
        parts = [rows[i : i + _CHUNK] @ known.T for i in range(0, len(rows), _CHUNK)]
        return np.concatenate([np.partition(part, -count, axis=1)[:, -count] for part in parts])

    return score


def compared(reference: Reference, calibration: Outputs, weights: np.ndarray) -> dict[str, Scorer]:
    """The methods of the table in docs/knowing.md, by name; sums are of parts that spread alike."""

    def cosine(per_class: int) -> Scorer:
        score = fit(replace(reference, unnamed=None), per_class)
        return lambda outputs: score.parts(outputs)[PROTOTYPES]

    def total(*parts: Scorer) -> Scorer:
        scales = [moments(part(calibration), weights) for part in parts]
        return lambda outputs: np.sum(
            [
                (part(outputs) - mean) / max(spread, 1e-6)
                for part, (mean, spread) in zip(parts, scales, strict=True)
            ],
            axis=0,
        )

    def log_confidence(outputs: Outputs) -> np.ndarray:
        return np.asarray(np.log(max_probability(outputs)))

    cosines = {count: cosine(count) for count in (1, 2, 4, 8)}
    methods: dict[str, Scorer] = {
        "max probability": max_probability,
        "max logit": max_logit,
        "energy": energy,
        "nearest photo": neighbours(reference, 1),
        "5th nearest photo": neighbours(reference, min(5, len(reference.named))),
        **{f"{count} prototypes a class": part for count, part in cosines.items()},
        "confidence + 1 prototype": total(log_confidence, cosines[1]),
        "confidence + 4 prototypes": total(log_confidence, cosines[4]),
        "max logit + 4 prototypes": total(max_logit, cosines[4]),
    }
    if reference.unnamed is None:
        return methods
    across = plane(reference)

    def beyond(outputs: Outputs) -> np.ndarray:
        return np.asarray(directions(outputs.features, reference.centre) @ across)

    return methods | {
        "plane": beyond,
        "4 prototypes + plane": total(cosines[4], beyond),
        "confidence + plane": total(log_confidence, beyond),
        "max logit + 4 prototypes + plane": total(max_logit, cosines[4], beyond),
        **{
            f"confidence + {count} prototypes + plane": total(log_confidence, part, beyond)
            for count, part in cosines.items()
        },
    }
