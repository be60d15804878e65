"""All results counted, and as many kept as the page may show."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

from flowers_onnx.results import Failure, Prediction, Result

T = TypeVar("T", Prediction, Failure)


class Species(NamedTuple):
    """What photos are grouped by."""

    label: str
    scientific_name: str | None


@dataclass(slots=True)
class Summary:
    """Counts of all results, and those to show, in the order of the results.

    ``not_known`` are photos that show no species of the model.
    """

    species: Counter[Species] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    photos: list[Prediction] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    not_known: int = 0

    @property
    def total(self) -> int:
        """All results, shown or not."""
        return self.species.total() + self.not_known + self.errors.total()

    @property
    def left_out(self) -> int:
        """How many results are counted and not shown."""
        return self.total - len(self.photos) - len(self.failures)


def summarize(results: Iterable[Result], most: int) -> Summary:
    """Count ``results``, and keep at most ``most`` photos and as many failures."""
    summary = Summary()
    photos, failures = _Sample[Prediction](most), _Sample[Failure](most)
    for result in results:
        summary.models[result.model] += 1
        if isinstance(result, Failure):
            summary.errors[result.code] += 1
            failures.add(result)
        else:
            if (kind := species_of(result)) is None:
                summary.not_known += 1
            else:
                summary.species[kind] += 1
            photos.add(result)
    summary.photos.extend(photos.kept())
    summary.failures.extend(failures.kept())
    return summary


def species_of(photo: Prediction) -> Species | None:
    """The group of a photo; none for one that shows no species of the model."""
    return None if photo.known is False else Species(photo.label, photo.scientific_name)


class _Sample(Generic[T]):
    """At most ``size`` of many, spread evenly over all, and the same ones each time.

    Those are kept whose names have the lowest hashes: the first ones would be those of the
    first folder.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._heap: list[tuple[int, int, T]] = []

    def add(self, result: T) -> None:
        self._seen += 1
        name = (result.path or "").encode("utf-8", "replace")
        rank = -int.from_bytes(blake2b(name, digest_size=8).digest())
        entry = (rank, -self._seen, result)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def kept(self) -> list[T]:
        return [result for _, _, result in sorted(self._heap, key=lambda entry: -entry[1])]
