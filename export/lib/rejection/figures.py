"""How well a score tells known photos from others, and how honest probabilities are."""

from __future__ import annotations

from typing import Any

import numpy as np

from lib.scores import calibration_error

#: A confidence that people take for certain.
SURE = 0.9
#: Of the distance to the next score.
_MARGIN = 0.05


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row, float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The weighted mean and standard deviation."""
    mean = float((weights * values).sum() / weights.sum())
    return mean, float(((weights * (values - mean) ** 2).sum() / weights.sum()) ** 0.5)


def auroc(known: np.ndarray, others: np.ndarray) -> float:
    """How often a known photo has a higher score than another; ties count half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, known, "left") + np.searchsorted(ranked, known, "right")
    return float(below.mean() / 2 / len(others))


def quantile(scores: np.ndarray, share: float) -> float:
    """The highest threshold below which at most ``share`` of the scores lie.

    It is a little below the lowest score that is kept, so that rounding decides nothing.
    """
    ranked = np.sort(scores)
    below = int(share * len(ranked) + 1e-9)
    kept = ranked[min(below, len(ranked) - 1)]
    return float(kept - _MARGIN * (kept - ranked[max(0, below - 1)]))


def mass_threshold(probabilities: np.ndarray, missed: float) -> float:
    """From where on sets leave out ``missed`` of all probability, on average."""
    others = np.sort(probabilities, axis=1)[:, :-1].ravel()
    others.sort()
    left_out = np.cumsum(others) / len(probabilities)
    kept = int(np.searchsorted(left_out, missed, "right"))
    return float(others[kept]) if kept < len(others) else 1.0


def prediction_sets(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The best class of each row, and all of at least ``threshold``: bool ``[N, C]``."""
    chosen = probabilities >= (2 if threshold is None else threshold)
    chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
    return np.asarray(chosen)


def known_figures(
    probabilities: np.ndarray, targets: np.ndarray, kept: np.ndarray, chosen: np.ndarray
) -> dict[str, Any]:
    """How photos of known classes fare: shares, of all but where it says otherwise.

    ``kept`` bool ``[N]`` are those that aren't refused, ``chosen`` bool ``[N, C]`` the prediction
    sets; ``coverage`` and ``names`` are of the photos kept.
    """
    rows = np.arange(len(targets))
    right = probabilities.argmax(axis=1) == targets
    found = {
        "photos": len(targets),
        "top1": right.mean(),
        "ece": calibration_error(probabilities.max(axis=1), right),
        "refused": (~kept).mean(),
        "right_refused": (~kept[right]).mean() if right.any() else 0.0,
        "top1_of_kept": right[kept].mean() if kept.any() else 0.0,
        "coverage": chosen[rows, targets][kept].mean() if kept.any() else 0.0,
        "names": chosen.sum(axis=1)[kept].mean() if kept.any() else 0.0,
    }
    return _rounded(found)


def other_figures(probabilities: np.ndarray, kept: np.ndarray) -> dict[str, Any]:
    """How photos of anything else fare."""
    sure = probabilities.max(axis=1) > SURE
    found = {
        "photos": len(kept),
        "refused": (~kept).mean(),
        "named_and_sure": (kept & sure).mean(),
        "sure": sure.mean(),
    }
    return _rounded(found)


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if name == "photos" else round(float(value), 4) for name, value in found.items()
    }
