"""How much slower one model is than another, measured in alternation in one run."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Pairs before anything is said, and the most that are measured.
LEAST, MOST = 40, 4000
#: Standard errors of a median's position, 99 %: it is looked at several times.
_WIDTH = 2.576
_WARM_UP = 3

#: Classifies one photo and says how many milliseconds that took.
Timed = Callable[[str], float]


@dataclass(frozen=True)
class Pace:
    """Medians in milliseconds a photo, and the median ratio of the pairs with its interval."""

    old_ms: float
    new_ms: float
    ratio: float
    low: float
    high: float
    pairs: int

    def exceeds(self, limit: float) -> bool:
        """Whether the new one is slower than ``limit`` times the old one, as far as can be told."""
        return self.ratio > limit

    def is_clear(self, limit: float) -> bool:
        """Whether the whole interval is on one side of ``limit``."""
        return self.high <= limit or self.low > limit


def pace(old: Timed, new: Timed, photos: Sequence[str], *, limit: float, seconds: float) -> Pace:
    """Time both on the same photo, one right after the other, each first every other time.

    What else the machine does falls on both; the median of the ratios doesn't mind a pair that
    was disturbed. It goes on until the interval is clear of ``limit``, or ``seconds`` have passed.
    """
    for _ in range(_WARM_UP):
        old(photos[0]), new(photos[0])
    pairs: list[tuple[float, float]] = []
    ends = time.monotonic() + seconds
    for turn, photo in enumerate(itertools.cycle(photos)):
        if turn % 2:
            after, before = new(photo), old(photo)
        else:
            before, after = old(photo), new(photo)
        pairs.append((before, after))
        if len(pairs) % LEAST == 0:
            found = of_pairs(pairs)
            if found.is_clear(limit) or time.monotonic() > ends or len(pairs) >= MOST:
                return found
    raise AssertionError("a cycle of photos has no end")


def of_pairs(pairs: Sequence[tuple[float, float]]) -> Pace:
    """The ratio that is in ``pairs`` of milliseconds, old and new."""
    ratios = sorted(after / before for before, after in pairs)
    count = len(ratios)
    reach = math.ceil(_WIDTH * math.sqrt(count) / 2)
    middle = (count - 1) / 2
    return Pace(
        statistics.median(before for before, _ in pairs),
        statistics.median(after for _, after in pairs),
        statistics.median(ratios),
        ratios[max(0, math.floor(middle - reach))],
        ratios[min(count - 1, math.ceil(middle + reach))],
        count,
    )
