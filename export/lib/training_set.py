"""Which photos a network is trained on, and which only judge it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from lib.dataset import (
    UNNAMED,
    Photo,
    collected_photos,
    corrected,
    digest,
    for_calibration,
    list_photos,
    read_corrections,
    reviewed_photos,
    unnamed_photos,
    without_duplicates,
)

PROTOCOLS = ("folders", "official")
#: A class has so many photos in a collection before one is kept out of training.
FEW = 5


@dataclass(frozen=True)
class TrainingSet:
    """Photos by what they are for; ``collections`` says where each of ``train`` is from.

    ``valid`` is looked at after each epoch, ``calibration`` fits confidence and thresholds,
    ``test`` is for the end, ``held_out`` are of the sources that were left out; nothing is
    learned of any of them.
    """

    train: Sequence[Photo]
    collections: Sequence[str]
    calibration: Sequence[Photo]
    valid: Sequence[Photo]
    test: Sequence[Photo] = ()
    held_out: Sequence[Photo] = ()

    def describe(self) -> str:
        """How many there are, for people."""
        unnamed = sum(photo.target == UNNAMED for photo in self.train)
        named = len(self.train) - unnamed
        return (
            f"{named} photos to train on and {unnamed} of none of them, "
            f"{len(self.calibration)} for confidence, {len(self.valid)} to look at"
        )


def assemble(
    root: Path,
    ids: list[str],
    protocol: str = "folders",
    *,
    also: Sequence[str] = (),
    unnamed: Sequence[str] = (),
    review: str = "",
    corrections: str = "",
    held_out: AbstractSet[str] = frozenset(),
) -> TrainingSet:
    """The photos of ``root`` and of what is added to it, less sources that are ``held_out``.

    ``corrections`` says of photos to learn from what they show instead; what judges stays as it is.
    """
    test: list[Photo] = []
    if protocol == "official":
        first, valid, test = official_photos(root, ids)
    else:
        first, valid = list_photos(root, "train", ids), list_photos(root, "valid", ids)
    found = {str(root): first}
    found |= {folder: collected_photos(Path(folder), ids) for folder in also}
    found |= {folder: unnamed_photos(Path(folder)) for folder in unnamed}
    if review:
        found[review] = reviewed_photos(Path(review), ids)
    shows: dict[str, str] = {}
    if corrections:
        shows = read_corrections(Path(corrections), [*chain(*found.values())], ids)
    photos: list[Photo] = []
    collections: list[str] = []
    left: list[Photo] = []
    for collection, its in found.items():
        left += [photo for photo in its if photo.source in held_out]
        kept = [photo for photo in its if photo.source not in held_out]
        kept = corrected(kept, shows, ids)
        kept = without_duplicates(kept, [*valid, *test, *photos])
        photos += kept
        collections += [collection] * len(kept)
    apart = calibration_part(photos, collections)
    return TrainingSet(
        [photo for photo, out in zip(photos, apart, strict=True) if not out],
        [name for name, out in zip(collections, apart, strict=True) if not out],
        [photo for photo, out in zip(photos, apart, strict=True) if out],
        valid,
        test,
        left,
    )


def calibration_part(photos: Sequence[Photo], collections: Sequence[str]) -> list[bool]:
    """Which photos are kept out of training: by their hash, so that every run has the same.

    None of no class, and none of a class of which a collection has few.
    """
    groups = [(photo.target, name) for photo, name in zip(photos, collections, strict=True)]
    sizes = Counter(groups)
    return [
        photo.target != UNNAMED and sizes[group] >= FEW and for_calibration(digest(photo.path))
        for photo, group in zip(photos, groups, strict=True)
    ]


def official_photos(root: Path, ids: list[str]) -> tuple[list[Photo], list[Photo], list[Photo]]:
    """The split of the data set's paper, of the photos at hand: for training, a look, a test.

    Both small parts are trained on, as is usual; one photo a class of the large one is looked at.
    """
    with (root / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    parts: dict[bool, list[Photo]] = {True: [], False: []}
    for row in rows:
        photo = Photo(root / row["path"], ids.index(row["class_id"]))
        parts[row["official_split"] == "test"].append(photo)
    first = {photo.target: photo for photo in reversed(parts[True])}
    return parts[False], [first[target] for target in sorted(first)], parts[True]
