"""Errors of a model in the light of a second opinion: whose they are, and what is like what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flowers_onnx.metadata import Label
from lib import contact_sheets, likeness
from lib.dataset import UNNAMED, Photo, digest
from lib.scores import Answers

#: How probable the teacher holds another class of a photo whose label is in doubt.
SURE = 0.9
#: Training photos of a class that stand beside a photo on a sheet.
BESIDE = 3


@dataclass(frozen=True)
class Teacher:
    """What it says of photos: probabilities ``[N, C]``, and embeddings ``[N, D]``, centred."""

    probabilities: np.ndarray
    embeddings: np.ndarray


def opinions(
    cache: str, known: Sequence[Photo], others: Sequence[Photo]
) -> tuple[Teacher, Teacher]:
    """What the teacher says of photos to learn from, each left out in turn, and of others."""
    from teacher import load, probe, soft_targets

    keys = [digest(photo.path) for photo in [*known, *others]]
    if missing := set(keys) - load(cache).keys():
        raise SystemExit(f"errors: {cache} lacks {len(missing)} of the photos; see teacher.py")
    truth = np.array([*(photo.target for photo in known), *(UNNAMED for _ in others)])
    held_out, embeddings = soft_targets(cache, keys, truth)
    count = len(known)
    fitted = probe().fit(embeddings[:count], truth[:count])
    probabilities = np.zeros((len(others), held_out.shape[1]))
    probabilities[:, fitted.classes_] = fitted.predict_proba(embeddings[count:])
    return (
        Teacher(held_out[:count], embeddings[:count]),
        Teacher(probabilities, embeddings[count:]),
    )


class Study:
    """All that is found of some photos, in the forms in which it is shown."""

    def __init__(
        self,
        names: Sequence[Label],
        known: Sequence[Photo],
        of_known: Teacher,
        answers: Answers,
        of_looked_at: Teacher,
    ) -> None:
        self.names = names
        self.known, self.of_known = known, of_known
        self.answers, self.of_looked_at = answers, of_looked_at
        self.said = answers.probabilities.argmax(axis=1)
        self.wrong = [int(i) for i in np.flatnonzero(self.said != answers.truth)]
        truth = np.array([photo.target for photo in known])
        self.known_truth = truth
        self.held = of_known.probabilities.argmax(axis=1)
        sure = of_known.probabilities.max(axis=1)
        doubtful = np.flatnonzero((self.held != truth) & (sure >= SURE))
        self.doubts = [int(i) for i in doubtful[np.argsort(-sure[doubtful], kind="stable")]]

    def whose(self, i: int) -> str:
        """Whether an error is the model's, or the label is in doubt, or neither is clear."""
        opinion = self.of_looked_at.probabilities[i]
        best = int(opinion.argmax())
        if best == self.answers.truth[i]:
            return "model"
        return "label" if best == self.said[i] and opinion[best] >= SURE else "hard"

    def relation(self, a: int, b: int) -> str:
        """How near two classes are for a botanist."""
        one, other = self.names[a], self.names[b]
        if one.genus is not None and one.genus == other.genus:
            return f"both {one.genus}"
        if one.family is not None and one.family == other.family:
            return f"both {one.family}"
        return f"{one.family} / {other.family}"

    def pairs(self, count: int) -> list[tuple[int, int, float]]:
        """Two classes and how many photos of one the model gives to the other, in probability."""
        classes = len(self.names)
        given = np.zeros((classes, classes))
        np.add.at(given, self.answers.truth, self.answers.probabilities)
        both = np.triu(given + given.T, 1)
        order = np.argsort(-both, axis=None, kind="stable")[:count]
        found = [(int(i // classes), int(i % classes)) for i in order]
        return [(a, b, float(both[a, b])) for a, b in found if both[a, b] > 0]

    def error_rows(self) -> Iterator[list[contact_sheets.Cell]]:
        """Each wrongly named photo beside training photos of its class and of the other."""
        for i in self.wrong:
            photo, taken = self.answers.photos[i], int(self.said[i])
            first = (photo.path, f"{key(photo)}: {self.whose(i)}")
            embedding = self.of_looked_at.embeddings[i]
            yield [first, *self._beside(embedding, photo.target), *self._beside(embedding, taken)]

    def doubt_rows(self) -> Iterator[list[contact_sheets.Cell]]:
        """Each training photo in doubt, likewise."""
        for i in self.doubts:
            photo, embedding = self.known[i], self.of_known.embeddings[i]
            of_own = self._beside(embedding, photo.target, but=i)
            yield [
                (photo.path, key(photo)),
                *of_own,
                *self._beside(embedding, int(self.held[i])),
            ]

    def _beside(
        self, embedding: np.ndarray, target: int, but: int = -1
    ) -> list[contact_sheets.Cell]:
        its = np.flatnonzero(self.known_truth == target)
        its = its[its != but]
        if not its.size:
            return []
        closest = likeness.nearest(embedding[None], self.of_known.embeddings[its], BESIDE)[0]
        return [(self.known[its[j]].path, self.names[target].label) for j in closest]

    def twins(self) -> tuple[list[tuple[Photo, Photo]], list[tuple[Photo, Photo]]]:
        """Pairs that are the same photo: all that cross the split, and all of two classes."""
        photos = [*self.known, *self.answers.photos]
        thumbs = likeness.thumbnails([photo.path for photo in photos])
        embeddings = np.concatenate([self.of_known.embeddings, self.of_looked_at.embeddings])
        across, unlike = [], []
        for i, j in likeness.same_photos(thumbs, embeddings):
            if i < len(self.known) <= j:
                across.append((photos[i], photos[j]))
            if photos[i].target != photos[j].target:
                unlike.append((photos[i], photos[j]))
        return across, unlike


def key(photo: Photo) -> str:
    """What a photo is called on the page: class and file."""
    return f"{photo.path.parent.name}/{photo.path.name}"
