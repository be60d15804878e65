"""Two models on the same photos, as users get them: who is right, and who knows what it isn't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowers_onnx import Classifier, Prediction
from lib.dataset import photos_below
from lib.scores import class_ids


@dataclass(frozen=True)
class Answer:
    """What one model says of one photo: the id of a class as text, and whether it knows it.

    ``known`` is None from a model that can't tell.
    """

    class_id: str
    known: bool | None


@dataclass(frozen=True)
class Shares:
    """One model on the photos of one set, in percent of all of them; None where it can't tell.

    ``answered`` is right and not refused.
    """

    right: float
    answered: float | None


@dataclass(frozen=True)
class Reference:
    """Both models on photos of classes that both know; ``old`` is None if there is no old one.

    ``gained`` and ``lost`` count photos: right only now, right only before. ``new_classes`` is
    the share of right answers on photos of classes that only the new one knows, and their number.
    """

    name: str
    photos: int
    old: Shares | None
    new: Shares | None
    gained: int
    lost: int
    unreadable: int
    new_classes: tuple[float, int] | None

    @property
    def refused(self) -> float | None:
        """The share of the new model's right answers that it refuses, in percent."""
        if self.new is None or self.new.answered is None or not self.new.right:
            return None
        return 100 * (1 - self.new.answered / self.new.right)


@dataclass(frozen=True)
class Unknown:
    """Both models on photos of none of their classes: what share of them they refuse."""

    name: str
    photos: int
    old: float | None
    new: float | None


def refer(name: str, folder: Path, old: Classifier | None, new: Classifier) -> Reference:
    """Measure on ``folder/<class_id>/*``. Raises ``SystemExit`` if no photo is of a class of new.

    Classes are the same if their ids are.
    """
    kept = set(class_ids(new.info))
    shared = kept.intersection(class_ids(old.info)) if old else kept
    photos = [path for path in photos_below(folder) if _class_of(path, folder) in kept]
    if not photos:
        raise SystemExit(f"promote: {folder} has no photos in folders named by the classes' ids")
    after = answers(new, photos)
    before = answers(old, photos) if old else after
    rows = [
        (_class_of(path, folder), a, b)
        for path, a, b in zip(photos, before, after, strict=True)
        if a and b
    ]
    common = [row for row in rows if row[0] in shared]
    fresh = [truth == b.class_id for truth, _, b in rows if truth not in shared]
    return Reference(
        name,
        len(common),
        _shares([(truth, a) for truth, a, _ in common]) if old else None,
        _shares([(truth, b) for truth, _, b in common]),
        sum(truth == b.class_id != a.class_id for truth, a, b in common),
        sum(truth == a.class_id != b.class_id for truth, a, b in common),
        len(photos) - len(rows),
        (100 * sum(fresh) / len(fresh), len(fresh)) if fresh else None,
    )


def refuse(name: str, folder: Path, old: Classifier | None, new: Classifier) -> Unknown:
    """Measure on every photo below ``folder``."""
    photos = photos_below(folder)
    if not photos:
        raise SystemExit(f"promote: there are no photos in {folder}")
    shares: list[float | None] = []
    for classifier in (old, new):
        found = [one for one in answers(classifier, photos) if one] if classifier else []
        told = [not one.known for one in found if one.known is not None]
        shares.append(100 * sum(told) / len(told) if told else None)
    return Unknown(name, len(photos), *shares)


def answers(classifier: Classifier, photos: Sequence[Path]) -> list[Answer | None]:
    """One a photo; None for what can't be read."""
    results = classifier.classify_many(map(str, photos), top_k=1)
    return [
        Answer(str(result.class_id), result.known) if isinstance(result, Prediction) else None
        for result in results
    ]


def _class_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def _shares(rows: Sequence[tuple[str, Answer]]) -> Shares | None:
    if not rows:
        return None
    right = [truth == answer.class_id for truth, answer in rows]
    tells = any(answer.known is not None for _, answer in rows)
    answered = [
        ok and answer.known is not False for ok, (_, answer) in zip(right, rows, strict=True)
    ]
    return Shares(
        100 * sum(right) / len(rows),
        100 * sum(answered) / len(rows) if tells else None,
    )
