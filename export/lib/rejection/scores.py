"""Scores that say how much a photo is like those a network was trained on: higher is more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from lib.photo_features import Outputs
from lib.rejection.figures import moments, softmax
from lib.rejection.known_score import LARGEST_WEIGHT, PROTOTYPES, ZERO_POINT, Score, directions

Scorer = Callable[[Outputs], np.ndarray]
_CHUNK = 512
#: scikit-learn's C of a plane between named and unnamed photos.
STRENGTH = 3.0
FEWEST = 3


@dataclass(frozen=True)
class Reference:
    """What scores are made of: photos that the network was trained on.

    ``targets`` int ``[N]`` are the classes of ``named``; ``unnamed`` are photos of none of them,
    by what they are.
    """

    named: Outputs
    targets: np.ndarray
    unnamed: Mapping[str, Outputs] = field(default_factory=dict)

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
        planes=planes(reference),
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


def planes(reference: Reference) -> np.ndarray:
    """float32 ``[P, D]``: across each, a logistic regression has named and one kind of unnamed.

    One a kind, for a single one is bent by the largest: other flowers and things that are no
    flowers lie in different directions.
    """
    found = np.zeros((len(reference.unnamed), reference.named.features.shape[1]), np.float32)
    for row, others in enumerate(reference.unnamed.values()):
        features = np.concatenate([reference.named.features, others.features])
        known = np.arange(len(features)) < len(reference.named)
        model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
        found[row] = model.fit(directions(features, reference.centre), known).coef_[0]
    return found


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
        score = fit(replace(reference, unnamed={}), per_class)
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

    def lowest(found: np.ndarray) -> Scorer:
        """The smallest product, of which each spreads alike."""
        each = directions(calibration.features, reference.centre) @ found.T
        scales = np.array([moments(column, weights) for column in each.T])

        def score(outputs: Outputs) -> np.ndarray:
            products = directions(outputs.features, reference.centre) @ found.T
            return np.asarray(((products - scales[:, 0]) / scales[:, 1]).min(axis=1))

        return score

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
    if not reference.unnamed:
        return methods
    together = Outputs(
        *(
            np.concatenate([getattr(part, name) for part in reference.unnamed.values()])
            for name in ("logits", "features")
        )
    )
    single = lowest(planes(replace(reference, unnamed={"": together})))
    each = lowest(planes(reference))
    return methods | {
        "plane": single,
        "planes, one a kind": each,
        "4 prototypes + planes": total(cosines[4], each),
        "confidence + planes": total(log_confidence, each),
        "max logit + 4 prototypes + planes": total(max_logit, cosines[4], each),
        "confidence + 2 prototypes + plane": total(log_confidence, cosines[2], single),
        **{
            f"confidence + {count} prototypes + planes": total(log_confidence, part, each)
            for count, part in cosines.items()
        },
    }
