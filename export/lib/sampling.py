"""Which photos an epoch is made of: all classes and all collections have their part in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lib.dataset import UNNAMED, Photo

#: Part of an epoch that are photos of none of the classes, if there are any.
UNNAMED_SHARE = 0.1


def weights(photos: Sequence[Photo], collections: Sequence[str]) -> np.ndarray:
    """How often each photo should be seen in an epoch: float64 ``[N]``, 1 on average.

    A class has the square root of its size, and in a class each collection the square root of
    its own: 7 photos of a collection among 65 of another are seen three times an epoch each, and
    250 don't drown the others.
    """
    targets = [photo.target for photo in photos]
    groups = list(zip(targets, collections, strict=True))
    class_sizes, sizes = Counter(targets), Counter(groups)
    roots: Counter[int] = Counter()
    for (target, _), size in sizes.items():
        roots[target] += size**0.5
    given = np.array(
        [class_sizes[group[0]] ** 0.5 * sizes[group] ** -0.5 / roots[group[0]] for group in groups]
    )
    unnamed = np.array(targets) == UNNAMED
    if unnamed.any() and not unnamed.all():
        given[unnamed] *= UNNAMED_SHARE / given[unnamed].sum()
        given[~unnamed] *= (1 - UNNAMED_SHARE) / given[~unnamed].sum()
    return np.asarray(given * len(photos) / given.sum())


def draw(given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of an epoch in random order; each photo as often as its weight, to within one."""
    times = np.floor(given).astype(int)
    times += rng.random(len(given)) < given - times
    return rng.permutation(np.repeat(np.arange(len(given)), times))
