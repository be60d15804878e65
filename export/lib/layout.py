"""A data set in the form that the scripts read, from what people have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lib.dataset import class_ids, digest, list_photos, photos_below, reviewed

FEWEST, MOST = 2, 1000
#: The part of the photos that is set aside to look at, where nobody has chosen it.
VALID_PART = 0.1


def laid_out(source: Path, folder: Path) -> Path:
    """``source`` if it has the parts ``train`` and ``valid``; else ``folder``, filled with both.

    ``source`` is then a folder a class, or a list that somebody has reviewed. A photo goes by
    its hash to one of the parts: more photos later don't move it. Raises ``SystemExit``.
    """
    if source.is_dir() and (source / "train").is_dir() and (source / "valid").is_dir():
        return source
    by_class: dict[str, dict[str, Path]] = {}
    for path, class_id in _photos(source):
        by_class.setdefault(class_id, {})[digest(path)] = path
    if not by_class:
        raise SystemExit(f"no photos in {source}: it needs a folder a class, or a reviewed list")
    for part in ("train", "valid"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for class_id, photos in by_class.items():
        aside = {key for key in photos if _place(key) < VALID_PART} or {min(photos, key=_place)}
        if len(photos) == len(aside):
            aside = {min(photos, key=_place)}
        for key, path in photos.items():
            place = folder / ("valid" if key in aside else "train") / class_id
            place.mkdir(exist_ok=True)
            _link(path, place / f"{key}{path.suffix.lower()}")
    return folder


def counted(data: Path) -> tuple[list[str], int]:
    """The classes of a laid out data set and how many photos there are to train on.

    Raises ``SystemExit`` unless there are 2 to 1,000 classes, with photos in both parts.
    """
    ids = class_ids(data)
    if not FEWEST <= len(ids) <= MOST:
        raise SystemExit(f"{data} has {len(ids)} classes; {FEWEST} to {MOST:,} can be told apart")
    looked_at = {folder.name for folder in (data / "valid").iterdir() if folder.is_dir()}
    total = 0
    for class_id in [*ids, *sorted(looked_at.difference(ids))]:
        found = {part: len(list_photos(data, part, [class_id])) for part in ("train", "valid")}
        if lacking := [part for part, count in found.items() if not count]:
            raise SystemExit(
                f"{data / lacking[0] / class_id} has no photos; a class needs one to train on "
                "and another to look at"
            )
        total += found["train"]
    return ids, total


def _photos(source: Path) -> Iterator[tuple[Path, str]]:
    if source.is_file():
        yield from reviewed(source)
        return
    root = source / "train" if (source / "train").is_dir() else source
    if not root.is_dir():
        raise SystemExit(f"{source}: there is no such folder")
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            yield from ((path, folder.name) for path in photos_below(folder))


def _place(key: str) -> float:
    """Where a hash lies between 0 and 1; other digits than those that calibration goes by."""
    return int(key[8:16], 16) / 16**8


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
