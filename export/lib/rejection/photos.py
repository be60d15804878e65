"""Which photos make a score, which set its threshold, and what a network says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.command_line import words
from lib.dataset import UNNAMED, Photo, class_ids, digest, photos_below, spread
from lib.photo_features import Extractor, Outputs
from lib.rejection.scores import Reference
from lib.training_set import TrainingSet, assemble

#: With fewer photos kept out of training, views of those in it set the threshold.
ENOUGH = 200
VIEWS = 1000
FOLDS = 4
#: So many photos of no class make a kind.
KIND = 50


@dataclass(frozen=True)
class Judged:
    """Photos of known classes: what the network says, what is right, and whether from elsewhere."""

    outputs: Outputs
    targets: np.ndarray
    elsewhere: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, rows: np.ndarray) -> Judged:
        return Judged(self.outputs[rows], self.targets[rows], self.elsewhere[rows])

    @property
    def weights(self) -> np.ndarray:
        """float64 ``[N]``: the data set's own photos and those from elsewhere count as much."""
        given = np.ones(len(self))
        for group in (self.elsewhere, ~self.elsewhere):
            if group.any():
                given[group] /= group.sum()
        return given


@dataclass(frozen=True)
class Material:
    """What a score is made of, and set by; ``folds`` are of ``calibration``.

    Where photos were kept out of training they are the calibration, and ``folds`` is ``None``.
    With too few of them, the calibration are random views of training photos, and those of a
    fold must be scored without that fold: ``rows`` says which photo of ``reference`` each is of.
    """

    reference: Reference
    calibration: Judged
    folds: np.ndarray | None = None
    rows: np.ndarray | None = None

    def parts(self) -> Iterator[tuple[Reference, np.ndarray]]:
        """References, and the calibration photos (bool ``[N]``) that each may judge."""
        if self.folds is None or self.rows is None:
            yield self.reference, np.ones(len(self.calibration), bool)
            return
        for fold in np.unique(self.folds):
            here = self.folds == fold
            left_out = np.zeros(len(self.reference.targets), bool)
            left_out[self.rows[here]] = True
            yield self.reference.without(left_out), here


def assemble_as_trained(
    data: str,
    also: str | Sequence[str] = (),
    unnamed: str | Sequence[str] = (),
    held_out: str | Sequence[str] = (),
    review: str = "",
    corrections: str = "",
) -> TrainingSet:
    """The photos as ``train.py`` parts them with the same options."""
    root = Path(data)
    return assemble(
        root,
        class_ids(root),
        also=words(also),
        unnamed=words(unnamed),
        held_out=frozenset(words(held_out)),
        review=review,
        corrections=corrections,
    )


def gather(extractor: Extractor, photos: TrainingSet) -> Material:
    """What the network says of the photos that make a score and set its threshold."""
    named = [photo for photo in photos.train if photo.target != UNNAMED]
    if not named:
        raise ValueError("there are no photos to train on: all are among the validation photos too")
    reference = Reference(
        extractor.outputs([photo.path for photo in named]),
        np.array([photo.target for photo in named]),
        {
            kind: extractor.outputs(paths)
            for kind, paths in _kinds([p for p in photos.train if p.target == UNNAMED]).items()
        },
    )
    if len(photos.calibration) >= ENOUGH:
        return Material(reference, judged(extractor, photos.calibration))
    order = {photo.path: row for row, photo in enumerate(named)}
    # A photo alone in its class can't be judged by the others.
    sizes = np.bincount(reference.targets)
    chosen = [photo for photo in spread(named) if sizes[photo.target] > 1][:VIEWS]
    if not chosen:
        return Material(reference, judged(extractor, named[:VIEWS], views=True))
    folds = _folds(chosen)
    calibration = judged(extractor, chosen, views=True)
    return Material(
        reference, calibration, folds, np.array([order[photo.path] for photo in chosen])
    )


def _kinds(unnamed: Sequence[Photo]) -> dict[str, list[Path]]:
    """Photos of no class by their folder; what is few goes to the largest."""
    counts = Counter(photo.source for photo in unnamed)
    found: dict[str, list[Path]] = {}
    for photo in unnamed:
        largest = counts.most_common(1)[0][0]
        kind = photo.source if counts[photo.source] >= KIND else largest
        found.setdefault(kind, []).append(photo.path)
    return found


def _folds(photos: Sequence[Photo]) -> np.ndarray:
    """Each class is dealt out to the folds: int ``[N]``."""
    dealt: Counter[int] = Counter()
    folds = []
    for photo in photos:
        folds.append(dealt[photo.target] % FOLDS)
        dealt[photo.target] += 1
    return np.array(folds)


def judged(
    extractor: Extractor, photos: Sequence[Photo], *, shrunk_to: int = 0, views: bool = False
) -> Judged:
    """What the network says of ``photos``; those with a source are from elsewhere."""
    paths = [photo.path for photo in photos]
    return Judged(
        extractor.view_outputs(paths, 1)
        if views
        else extractor.outputs(paths, shrunk_to=shrunk_to),
        np.array([photo.target for photo in photos]),
        np.array([bool(photo.source) for photo in photos]),
    )


def unseen(folder: str, trained_on: Sequence[Photo]) -> list[Path]:
    """The photos of a folder of unknown things less those that were trained on."""
    seen = {digest(photo.path) for photo in trained_on if photo.target == UNNAMED}
    return [path for path in photos_below(Path(folder)) if digest(path) not in seen]
