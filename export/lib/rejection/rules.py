"""Temperature, thresholds and prediction sets, from photos that a network wasn't trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.rejection.figures import (
    known_figures,
    mass_threshold,
    prediction_sets,
    quantile,
    softmax,
)
from lib.rejection.known_score import Score
from lib.rejection.photos import Judged, Material
from lib.rejection.scores import fit
from lib.scores import fit_temperature

_FOLDS = 5


@dataclass(frozen=True)
class Limits:
    """What may go wrong with photos of known classes, as shares.

    ``own_refused`` is of the data set's own photos, ``right_refused`` of the right answers to
    photos from elsewhere; ``coverage`` is how often a prediction set holds the right class.
    """

    own_refused: float
    right_refused: float
    coverage: float


@dataclass(frozen=True)
class Rules:
    """What the file is given; ``set_threshold`` is ``None`` with too few photos to tell."""

    temperature: float
    score: Score
    threshold: float
    set_threshold: float | None


def find(material: Material, per_class: int, limits: Limits) -> tuple[Rules, dict[str, Any]]:
    """The rules, and how they do on calibration photos that they weren't made from."""
    photos = material.calibration
    temperature = fit_temperature(photos.outputs.logits, photos.targets, photos.weights)
    parts: dict[str, np.ndarray] = {}
    for reference, rows in material.parts():
        found = fit(reference, per_class).parts(photos.outputs[rows], temperature)
        for name, values in found.items():
            parts.setdefault(name, np.zeros(len(photos)))[rows] = values
    score = fit(material.reference, per_class).balanced(parts, photos.weights)
    values = score.of(parts)
    threshold = threshold_for(values, photos, limits)
    rules = Rules(
        temperature,
        score,
        threshold,
        _set_threshold(photos, values, threshold, temperature, limits),
    )
    return rules, _cross_validated(photos, values, limits)


def threshold_for(values: np.ndarray, photos: Judged, limits: Limits) -> float:
    """The highest threshold that keeps both limits, for those kinds of photos that there are.

    Each kind has its own limit, since photos from elsewhere score lower; a mixture would refuse
    mostly them, and how many would depend on how many happen to be at hand.
    """
    right = photos.outputs.logits.argmax(axis=1) == photos.targets
    found = [
        quantile(values[kind], share)
        for kind, share in (
            (~photos.elsewhere, limits.own_refused),
            (photos.elsewhere & right, limits.right_refused),
        )
        if kind.any()
    ]
    return min(found)


def _set_threshold(
    photos: Judged, values: np.ndarray, threshold: float, temperature: float, limits: Limits
) -> float | None:
    """The lower of two thresholds for the probability, by known photos; ``None`` with too few.

    One is split conformal prediction on the data set's own: they alone, since sets that promise
    as much for photos from elsewhere name many classes for every photo. It rests on the few
    that are wrong. The other is how far down the probabilities of all known photos go, if
    calibrated ones are taken at their word: it rests on all of them.
    """
    chosen = values >= threshold
    like = chosen & ~photos.elsewhere if (chosen & ~photos.elsewhere).any() else chosen
    rows = np.arange(like.sum())
    of_truth = np.sort(probabilities(photos[like], temperature)[rows, photos.targets[like]])
    missed = 1 - limits.coverage
    rank = int(missed * (len(of_truth) + 1) + 1e-9)
    if not rank:
        return None
    return min(
        float(of_truth[rank - 1]),
        mass_threshold(probabilities(photos[chosen], temperature), missed),
    )


def probabilities(photos: Judged, temperature: float) -> np.ndarray:
    """float64 ``[N, C]``, at a temperature."""
    return softmax(photos.outputs.logits / temperature)


def _cross_validated(photos: Judged, values: np.ndarray, limits: Limits) -> dict[str, Any]:
    """Figures of each fifth of the calibration photos, by rules from the others."""
    fold = np.random.default_rng(0).permutation(len(photos)) % _FOLDS
    found = np.zeros(photos.outputs.logits.shape)
    chosen = np.zeros(found.shape, bool)
    kept = np.zeros(len(photos), bool)
    for number in np.unique(fold):
        here = fold == number
        others = photos[~here]
        temperature = fit_temperature(others.outputs.logits, others.targets, others.weights)
        found[here] = probabilities(photos[here], temperature)
        threshold = threshold_for(values[~here], others, limits)
        kept[here] = values[here] >= threshold
        limit = _set_threshold(others, values[~here], threshold, temperature, limits)
        chosen[here] = prediction_sets(found[here], limit)
    return kinds(photos, found, kept, chosen)


def kinds(
    photos: Judged, found: np.ndarray, kept: np.ndarray, chosen: np.ndarray
) -> dict[str, Any]:
    """The figures of the data set's own photos, and of those from elsewhere if there are any."""
    return {
        name: known_figures(found[rows], photos.targets[rows], kept[rows], chosen[rows])
        for name, rows in (("own", ~photos.elsewhere), ("elsewhere", photos.elsewhere))
        if rows.any()
    }
