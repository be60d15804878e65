"""What a model took photos for when it was evaluated: the property ``confusion`` of its file.

``export/evaluate.py --keep`` writes it, and nobody reads it but who asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Those of the names of sets that ``export/evaluate.py`` gives.
VALIDATION, ELSEWHERE = "valid", "elsewhere"


@dataclass(frozen=True, slots=True)
class Confusions:
    """What photos of one set were taken for, whether or not the answer was ``known``.

    ``photos`` is their number by class, in the order of the model's labels; ``wrong`` counts
    those that were taken for another class, by the positions of both: what it is, what it was
    taken for.
    """

    name: str
    photos: tuple[int, ...]
    wrong: Mapping[tuple[int, int], int] = field(repr=False)

    def right(self, position: int) -> int:
        """How many photos of a class were named as it."""
        wrong = sum(count for (true, _), count in self.wrong.items() if true == position)
        return self.photos[position] - wrong

    def taken(self, true: int, named: int) -> int:
        """How many photos of the class ``true`` were named as the class ``named``."""
        return self.right(true) if true == named else self.wrong.get((true, named), 0)


def confusions_of(name: str, answers: Iterable[tuple[int, int]], classes: int) -> Confusions:
    """Of pairs of positions: what a photo shows, what it was named."""
    photos, wrong = [0] * classes, dict[tuple[int, int], int]()
    for true, named in answers:
        photos[true] += 1
        if true != named:
            wrong[true, named] = wrong.get((true, named), 0) + 1
    return Confusions(name, tuple(photos), wrong)


def dumps(sets: Iterable[Confusions]) -> str:
    """The property: in JSON, without what is 0."""
    rows = [
        {
            "name": one.name,
            "photos": one.photos,
            "wrong": [[true, named, one.wrong[true, named]] for true, named in sorted(one.wrong)],
        }
        for one in sets
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def loads(text: str, classes: int) -> tuple[Confusions, ...]:
    """The reverse; raises ``ValueError``, ``TypeError`` or ``LookupError`` for what is none."""
    try:
        rows = json.loads(text)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(rows, list):
        raise TypeError("no list of sets")
    sets = tuple(_set(row, classes) for row in rows)
    if len({one.name for one in sets}) < len(sets):
        raise ValueError("a set occurs twice")
    return sets


def _set(row: Mapping[str, Any], classes: int) -> Confusions:
    name, photos = row["name"], tuple(row["photos"])
    if not isinstance(name, str) or not name.isprintable():
        raise TypeError(f"name must be text: {name!r}")
    if len(photos) != classes or not _are_numbers(photos):
        raise ValueError(f"photos must be {classes} whole numbers")
    wrong: dict[tuple[int, int], int] = {}
    for entry in row["wrong"]:
        if not _are_numbers(entry):
            raise TypeError(f"no whole numbers: {entry}")
        true, named, count = entry
        if max(true, named) >= classes or true == named or not count or (true, named) in wrong:
            raise ValueError(f"no confusion: {entry}")
        wrong[true, named] = count
    found = Confusions(name, photos, wrong)
    if any(found.right(true) < 0 for true, _ in wrong):
        raise ValueError("more photos are wrong than there are")
    return found


def _are_numbers(values: Sequence[Any]) -> bool:
    """Whether all are whole, and not below 0: a bool is an int too."""
    return all(type(value) is int and value >= 0 for value in values)
