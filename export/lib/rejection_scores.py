"""Scores that say how much a photo is like those a network was trained on: higher is more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from lib.known_score import LARGEST_WEIGHT, PROTOTYPES, ZERO_POINT, Score, directions
from lib.photo_features import Outputs
from lib.rejection_figures import moments, softmax

Scorer = Callable[[Outputs], np.ndarray]
_CHUNK = 512
#: scikit-learn's C of the plane between named and unnamed photos.
STRENGTH = 3.0
FEWEST = 3


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
    """float32 ``[K, D]`` of length 1: the middles of up to ``per_class`` groups of each class.

    Of fewer where there would not be ``FEWEST`` photos a group.
    """
    found = []
    for target in np.unique(targets):
        own = rows[targets == target]
        groups = min(per_class, len(np.unique(own, axis=0)) // FEWEST)
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
