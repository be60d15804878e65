"""Two subjects, and what can be said of both; the form of it for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from flowers_onnx.compare.likeness import Likeness
from flowers_onnx.compare.subject import Subject
from flowers_onnx.confusion import Confusions
from flowers_onnx.explanation import Embedding
from flowers_onnx.index.index import NEAR
from flowers_onnx.index.photo import IndexedPhoto, Mark
from flowers_onnx.metadata import Label, ModelInfo
from flowers_onnx.photos import display_path

#: Version of the object that ``to_record`` gives, counted as that of the result record.
SCHEMA = "1.0"
#: Candidates of a photo that are shown.
SHOWN = 5

Kinship = Literal["species", "genus", "family", "none"]


@dataclass(frozen=True, slots=True)
class Told:
    """What photos of the two species were taken for in one set of the evaluation."""

    name: str
    #: Of each species: photos, those named rightly, those taken for the other one.
    a: tuple[int, int, int]
    b: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, and what the model says of them.

    ``examples`` are photos of the species of each side, None without an index; ``confusions``
    None where the model file has no evaluation. ``likeness`` is None for a file that can't tell.
    """

    info: ModelInfo
    a: Subject
    b: Subject
    likeness: Likeness | None
    confusions: tuple[Confusions, ...] | None
    examples: tuple[Sequence[IndexedPhoto], Sequence[IndexedPhoto]] | None

    @property
    def sides(self) -> tuple[Subject, Subject]:
        """Both."""
        return self.a, self.b

    def label(self, subject: Subject) -> Label | None:
        """The species of a side; None if its photo can't be read."""
        return None if subject.position is None else self.info.labels[subject.position]

    def other(self, subject: Subject) -> Subject:
        """The other side."""
        return self.b if subject is self.a else self.a

    @property
    def positions(self) -> tuple[int, int] | None:
        """Of both species, if they are two."""
        a, b = self.a.position, self.b.position
        return None if a is None or b is None or a == b else (a, b)

    @property
    def kinship(self) -> Kinship | None:
        """What both species have in common; None where that isn't known."""
        a, b = self.label(self.a), self.label(self.b)
        if a is None or b is None:
            return None
        if a == b:
            return "species"
        if a.genus and a.genus == b.genus:
            return "genus"
        if not (a.family and b.family):
            return None
        return "family" if a.family == b.family else "none"

    @property
    def species_alike(self) -> float | None:
        """The cosine of typical photos of both species."""
        if self.positions is None or self.likeness is None:
            return None
        return self.likeness.alike(*self.positions)

    @property
    def pairs_less_alike(self) -> float | None:
        """The share of all pairs of species that are less alike than these two."""
        alike = self.species_alike
        return None if alike is None or not self.likeness else self.likeness.share_below(alike)

    @property
    def photos_alike(self) -> float | None:
        """The cosine of the features of both photos, as ``flowers similar`` has it."""
        a, b = self.a.photo, self.b.photo
        if not (isinstance(a, Embedding) and isinstance(b, Embedding)):
            return None
        first, second = a.features.astype(np.float64), b.features.astype(np.float64)
        lengths = float(np.linalg.norm(first) * np.linalg.norm(second)) or 1.0
        return min(max(float(first @ second) / lengths, -1.0), 1.0)

    @property
    def mark(self) -> Mark | None:
        """Whether both photos are of the same bytes, or most likely show the same."""
        a, b, alike = self.a.prediction, self.b.prediction, self.photos_alike
        if a is None or b is None or alike is None:
            return None
        if a.sha256 == b.sha256:
            return "copy"
        return "near-duplicate" if alike >= NEAR else None

    def next(self, subject: Subject) -> list[Label]:
        """What the model would soonest name if it weren't the species of this side."""
        if subject.position is None or self.likeness is None:
            return []
        return [self.info.labels[n] for n in self.likeness.next(subject.position)]

    def place(self, subject: Subject) -> int | None:
        """Which of these the other species is, from 1 on."""
        if self.positions is None or self.likeness is None:
            return None
        a, b = subject.position, self.other(subject).position
        return None if a is None or b is None else self.likeness.place(a, b)

    def told(self) -> list[Told]:
        """What photos of both were taken for, set by set, but for sets that have none of them."""
        a, b = self.a.position, self.b.position
        if a is None or b is None:
            return []
        found = [
            Told(
                one.name,
                (one.photos[a], one.right(a), one.taken(a, b)),
                (one.photos[b], one.right(b), one.taken(b, a)),
            )
            for one in self.confusions or ()
        ]
        return [one for one in found if one.a[0] or one.b[0]]

    def to_record(self) -> dict[str, Any]:
        """One object; for ``json.dumps``."""
        return {
            "schema": SCHEMA,
            "model": self.info.id,
            "classes": len(self.info.labels),
            "a": self._side(self.a),
            "b": self._side(self.b),
            "same_species": None if self.kinship is None else self.kinship == "species",
            "same_genus": self._same("genus"),
            "same_family": self._same("family"),
            "species_likeness": _rounded(self.species_alike),
            "pairs_less_alike": _rounded(self.pairs_less_alike),
            "photo_likeness": _rounded(self.photos_alike),
            "photo_mark": self.mark,
            "confusions": None if self.confusions is None else [*map(self._set, self.told())],
        }

    def _side(self, subject: Subject) -> dict[str, Any]:
        label, other = self.label(subject), self.label(self.other(subject))
        return {
            "given": subject.given,
            "species": None if label is None else _names(label),
            "photo": _photo_record(subject),
            "confidence_of_other": subject.confidence_of(other) if other else None,
            "place_of_other": self.place(subject),
            "next": [_names(one) for one in self.next(subject)],
            "examples": self._examples(subject),
        }

    def _examples(self, subject: Subject) -> list[dict[str, Any]] | None:
        if self.examples is None:
            return None
        return [
            {
                "path": display_path(one.path),
                "uri": one.uri,
                "confidence": one.confidence,
                "known": one.known,
                "sha256": one.sha256,
                "width": one.width,
                "height": one.height,
            }
            for one in self.examples[subject is self.b]
        ]

    def _same(self, rank: Literal["genus", "family"]) -> bool | None:
        a, b = self.label(self.a), self.label(self.b)
        values = [getattr(label, rank) for label in (a, b) if label]
        return values[0] == values[1] if len(values) == 2 and all(values) else None

    def _set(self, told: Told) -> dict[str, Any]:
        taken = self.positions is not None
        return {
            "set": told.name,
            **{
                side: {"photos": photos, "right": right, "named_other": other if taken else None}
                for side, (photos, right, other) in {"a": told.a, "b": told.b}.items()
            },
        }


def _photo_record(subject: Subject) -> Any:
    """The result record of a photo, with a few of its candidates."""
    if subject.failure:
        return subject.failure.to_record()
    if subject.prediction is None:
        return None
    return replace(subject.prediction, top=subject.prediction.top[:SHOWN]).to_record()


def _names(label: Label) -> dict[str, Any]:
    return {
        "class_id": label.class_id,
        "label": label.label,
        "spanish_name": label.spanish_name,
        "scientific_name": label.scientific_name,
        "genus": label.genus,
        "family": label.family,
    }


def _rounded(likeness: float | None) -> float | None:
    return None if likeness is None else round(likeness, 4)
