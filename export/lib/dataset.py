"""A folder-per-class image data set, decoded once and kept in memory."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace.review import to_train_on

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
UNNAMED = -1
#: Photos are kept at this short side: enough for a 224 px crop, 6,500 of them in 1.6 GB.
CACHED_SIDE = 256
#: One photo in so many is kept out of training, for confidence and thresholds to be fitted on.
CALIBRATION_PART = 12


@dataclass(frozen=True)
class Photo:
    """One file; ``target`` is the index of its class in the network's output.

    ``UNNAMED`` is a photo of none of them. ``source`` is where a collection has it from.
    """

    path: Path
    target: int
    source: str = ""


def class_ids(data: Path) -> list[str]:
    """The folder names of ``data/train`` in output order: as numbers if all are numeric."""
    folders = (entry for entry in (data / "train").iterdir() if entry.is_dir())
    names = [entry.name for entry in folders if not entry.name.startswith(".")]
    if not names:
        raise SystemExit(f"{data}/train has no class folders")
    return sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names)


def list_photos(data: Path, split: str, ids: list[str]) -> list[Photo]:
    """The photos of one split, in a fixed order."""
    return [
        Photo(path, target)
        for target, class_id in enumerate(ids)
        for path in sorted((data / split / class_id).glob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]


def collected_photos(folder: Path, ids: list[str]) -> list[Photo]:
    """The photos of ``folder/<class_id>/*`` and their sources.

    Those stand in ``index.csv`` in the folder or beside it, in the columns ``path`` and
    ``source``; without one the folder is a source.
    """
    sources = _sources(folder)
    return [
        Photo(path, target, sources.get(path, folder.name))
        for target, class_id in enumerate(ids)
        for path in photos_below(folder / class_id)
    ]


def unnamed_photos(folder: Path) -> list[Photo]:
    """Every photo of ``folder``, as one of none of the classes."""
    return [Photo(path, UNNAMED, folder.name) for path in photos_below(folder)]


def _sources(folder: Path) -> dict[Path, str]:
    for index in (folder / "index.csv", folder.parent / "index.csv"):
        if index.is_file():
            with index.open(encoding="utf-8-sig", newline="") as file:
                return {index.parent / row["path"]: row["source"] for row in csv.DictReader(file)}
    return {}


def reviewed_photos(review: Path, ids: list[str]) -> list[Photo]:
    """The photos of ``flowers trace export`` that somebody has confirmed or corrected."""
    photos = []
    for file, class_id in reviewed(review):
        if class_id not in ids:
            raise SystemExit(f"{review}: {file} is of class {class_id}, of which DATA has none")
        if not file.is_file():
            raise SystemExit(f"{review}: there is no {file}")
        photos.append(Photo(file, ids.index(class_id)))
    return photos


def reviewed(review: Path) -> list[tuple[Path, str]]:
    """The photos of a reviewed list that are to be trained on, and their classes."""
    try:
        return [(Path(file), class_id) for file, class_id in to_train_on(str(review))]
    except UsageError as error:
        raise SystemExit(str(error)) from error


def read_corrections(path: Path, photos: list[Photo], ids: list[str]) -> dict[str, str]:
    """What photos show, where that isn't what their folder says, by folder and name.

    ``path`` is a CSV with the columns ``photo`` (``96/image_07674.jpg``) and ``shows``: a class,
    ``none`` for none of them, or nothing. Raises ``SystemExit`` for another class, and if it is
    about none of ``photos``.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        shows = {row["photo"]: row["shows"] for row in csv.DictReader(file) if row["shows"]}
    if strange := sorted(set(shows.values()) - {*ids, "none"}):
        raise SystemExit(f"{path}: {strange[0]} is no class of DATA")
    if shows and shows.keys().isdisjoint(map(_name, photos)):
        raise SystemExit(f"{path}: no photo is there that it names, such as {next(iter(shows))}")
    return shows


def corrected(photos: list[Photo], shows: dict[str, str], ids: list[str]) -> list[Photo]:
    """``photos`` as what they show, less those that show none of the classes."""
    right = []
    for photo in photos:
        shown = shows.get(_name(photo))
        if shown != "none":
            right.append(replace(photo, target=ids.index(shown)) if shown else photo)
    return right


def _name(photo: Photo) -> str:
    return f"{photo.path.parent.name}/{photo.path.name}"


def spread(photos: list[Photo]) -> list[Photo]:
    """``photos`` reordered so that every prefix is balanced over the classes."""
    by_class: dict[int, list[Photo]] = {}
    for photo in photos:
        by_class.setdefault(photo.target, []).append(photo)
    rounds = zip_longest(*by_class.values())
    return [photo for turn in rounds for photo in turn if photo is not None]


def without_duplicates(photos: list[Photo], held_out: list[Photo]) -> list[Photo]:
    """``photos`` less those whose bytes also occur in ``held_out`` (the set has such a pair)."""
    seen = {digest(photo.path) for photo in held_out}
    return [photo for photo in photos if digest(photo.path) not in seen]


def photos_below(folder: Path) -> list[Path]:
    """Every photo in a folder, at any depth, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def for_calibration(key: str) -> bool:
    """Whether the photo of this hash is kept out of training; it is so in every run."""
    return int(key[:8], 16) % CALIBRATION_PART == 0


@cache
def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal: what a photo goes by."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decode(path: Path) -> np.ndarray:
    """uint8 ``[H, W, 3]`` RGB, the right side up, whose short side is at most ``CACHED_SIDE``."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    scale = CACHED_SIDE / min(image.size)
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)
