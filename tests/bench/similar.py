"""How well and how fast an index finds photos that are alike.

    python tests/bench/similar.py DATA [--photos 100000] [--copies 500]

DATA is the folder with ``flowers102/train`` and ``valid``, ``1..102`` in each. What was chosen (the
features as they are, int8, the threshold of a near-duplicate) was chosen on ``train``; ``valid``
is looked at once, in the end. The large index holds the training photos and mixtures of two of
one species, which are as crowded as more photos would be.
"""

from __future__ import annotations

import functools
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import fire
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from flowers_onnx import Classifier
from flowers_onnx.index.file import quantised
from flowers_onnx.index.maker import Maker
from flowers_onnx.index.photo import Row
from flowers_onnx.index.writing import Writer
from flowers_onnx.photos import Source
from flowers_onnx.similar import Index

Floats = npt.NDArray[np.float32]
Make = Callable[[Floats, Floats], tuple[Floats, Floats]]
THRESHOLDS = (0.95, 0.96, 0.97, 0.98, 0.99)


class Photos(NamedTuple):
    """Paths, their true classes, and features ``[N, channels]``."""

    paths: list[str]
    classes: npt.NDArray[np.int64]
    features: Floats


def main(data: str, *, photos: int = 100_000, copies: int = 500) -> None:
    """Print all figures of docs/similar.md."""
    classifier = Classifier()
    train, valid = (_photos(classifier, os.path.join(data, "flowers102", part)) for part in PARTS)
    print(f"{len(train.paths):,} training photos, {len(valid.paths):,} of validation")
    _choices(train)
    _copies(classifier, train, copies)
    with tempfile.TemporaryDirectory() as folder:
        _species(train, valid, folder)
        _speed(train, valid, photos, folder)


PARTS = ("train", "valid")


def _photos(classifier: Classifier, folder: str) -> Photos:
    found = [
        (os.path.join(folder, name, file), int(name))
        for name in sorted(os.listdir(folder), key=int)
        for file in sorted(os.listdir(os.path.join(folder, name)))
    ]
    paths = [path for path, _ in found]
    classes = np.array([number for _, number in found])
    return Photos(paths, classes, _features(classifier, paths))


def _features(classifier: Classifier, sources: Iterable[Source]) -> Floats:
    made = []
    for found in classifier.embeddings(sources):
        if not found.ok or not hasattr(found, "features"):
            raise SystemExit(f"similar.py: {found} failed")
        made.append(found.features)
    return np.stack(made)


def _unit(vectors: Floats) -> Floats:
    units: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return units


def _choices(train: Photos) -> None:
    """The nearest in four fifths of the training photos to each of the last fifth, in turn."""
    channels = train.features.shape[1]
    ways: dict[str, Make] = {
        "cosine": _cosine,
        "centred": _centred,
        "whitened": _whitened,
        "int8": lambda asked, index: _cosine(asked, _int8(index)),
        "256 components": functools.partial(_components, 256),
        "128 components": functools.partial(_components, 128),
        "256 random directions": functools.partial(_projected, _random(channels, 256)),
        "128 random directions": functools.partial(_projected, _random(channels, 128)),
    }
    print("\nthe same species first, folds of the training photos:")
    fold = np.random.default_rng(0).integers(0, 5, len(train.paths))
    for name, make in ways.items():
        right = 0
        for number in range(5):
            asked = fold == number
            left, index = make(train.features[asked], train.features[~asked])
            nearest = (left @ index.T).argmax(1)
            right += int((train.classes[~asked][nearest] == train.classes[asked]).sum())
        print(f"  {name:24} {right / len(fold):.2%}")


def _cosine(asked: Floats, index: Floats) -> tuple[Floats, Floats]:
    return _unit(asked), _unit(index)


def _centred(asked: Floats, index: Floats) -> tuple[Floats, Floats]:
    asked, index = _cosine(asked, index)
    return _cosine(asked - index.mean(0), index - index.mean(0))


def _whitened(asked: Floats, index: Floats) -> tuple[Floats, Floats]:
    mean = index.mean(0)
    values, vectors = np.linalg.eigh(np.cov((index - mean).T))
    matrix = (vectors / np.sqrt(values + values.mean())).astype(np.float32)
    return _cosine((asked - mean) @ matrix, (index - mean) @ matrix)


def _int8(index: Floats) -> Floats:
    return np.stack([quantised(one) for one in index]).astype(np.float32)


def _components(count: int, asked: Floats, index: Floats) -> tuple[Floats, Floats]:
    units = _unit(index)
    return _projected(np.linalg.eigh(units.T @ units)[1][:, -count:], asked, index)


def _random(channels: int, count: int) -> Floats:
    return np.random.default_rng(0).normal(size=(channels, count)).astype(np.float32)


def _projected(matrix: Floats, asked: Floats, index: Floats) -> tuple[Floats, Floats]:
    return _cosine(_unit(asked) @ matrix, _unit(index) @ matrix)


def _copies(classifier: Classifier, train: Photos, count: int) -> None:
    """How alike copies are to what they were made of, and different photos of one species."""
    units = _unit(train.features)
    pairs, nearest = [], []
    for number in np.unique(train.classes):
        products = units[train.classes == number] @ units[train.classes == number].T
        pairs.append(products[np.triu_indices(len(products), 1)])
        np.fill_diagonal(products, -1)
        nearest.append(products.max(1))
    rows = {
        f"pairs of a species ({len(np.concatenate(pairs)):,})": np.concatenate(pairs),
        "photos, to the nearest of the species": np.concatenate(nearest),
    }
    chosen = np.sort(np.random.default_rng(0).choice(len(train.paths), count, replace=False))
    for name, edit in EDITS.items():
        made = _unit(_features(classifier, _edited(train.paths, chosen, edit)))
        rows[f"copy, {name}"] = (made * units[chosen]).sum(1)
    print(f"\nof a likeness of at least      {''.join(f'{one:8}' for one in THRESHOLDS)}  median")
    for name, values in rows.items():
        shares = "".join(f"{(values >= one).mean():8.1%}" for one in THRESHOLDS)
        print(f"  {name:37}{shares}  {np.median(values):.3f}")


def _edited(
    paths: Sequence[str], chosen: npt.NDArray[np.int64], edit: Callable[[Image.Image], bytes]
) -> Iterator[bytes]:
    for number in chosen:
        with Image.open(paths[number]) as photo:
            yield edit(photo.convert("RGB"))


def _jpeg(photo: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _resized(photo: Image.Image, scale: float) -> bytes:
    size = (round(photo.width * scale), round(photo.height * scale))
    return _jpeg(photo.resize(size, Image.Resampling.LANCZOS))


def _cropped(photo: Image.Image, share: float) -> bytes:
    left, top = round(photo.width * share / 2), round(photo.height * share / 2)
    return _jpeg(photo.crop((left, top, photo.width - left, photo.height - top)))


#: The photos have a short side of 256 pixels, of which the network sees 224: half is less.
EDITS: dict[str, Callable[[Image.Image], bytes]] = {
    "twice the size": lambda photo: _resized(photo, 2),
    "three quarters": lambda photo: _resized(photo, 0.75),
    "half the size": lambda photo: _resized(photo, 0.5),
    "JPEG quality 60": lambda photo: _jpeg(photo, 60),
    "JPEG quality 30": lambda photo: _jpeg(photo, 30),
    "cropped by 5 %": lambda photo: _cropped(photo, 0.05),
    "cropped by 10 %": lambda photo: _cropped(photo, 0.1),
    "20 % brighter": lambda photo: _jpeg(ImageEnhance.Brightness(photo).enhance(1.2)),
    "20 % darker": lambda photo: _jpeg(ImageEnhance.Brightness(photo).enhance(0.8)),
}


def _species(train: Photos, valid: Photos, folder: str) -> None:
    """What the index itself finds for validation photos."""
    print("\nthe same species first, validation photos:")
    index = _index(os.path.join(folder, "train"), train.features, train.classes)
    right = [
        index.search(one, 1)[0].photo.class_id == truth
        for one, truth in zip(valid.features, valid.classes.tolist(), strict=True)
    ]
    print(f"  in an index of the training photos  {np.mean(right):.2%}")
    both = [np.concatenate([one, other]) for one, other in zip(valid[1:], train[1:], strict=True)]
    print(f"  in an index of all others           {_left_out(folder, valid, *both):.2%}")
    print(f"  in an index of the other 817        {_left_out(folder, valid, *valid[1:]):.2%}")


def _left_out(
    folder: str, valid: Photos, classes: npt.NDArray[np.int64], features: Floats
) -> float:
    """Of an index whose first photos are those of validation."""
    index = _index(os.path.join(folder, "left_out"), features, classes)
    right = [
        index.search(one, 1, path=_path(number).removeprefix("file://"))[0].photo.class_id == truth
        for number, (one, truth) in enumerate(
            zip(valid.features, valid.classes.tolist(), strict=True)
        )
    ]
    return float(np.mean(right))


def _speed(train: Photos, valid: Photos, count: int, folder: str) -> None:
    chance = np.random.default_rng(0)
    of_class = [np.flatnonzero(train.classes == number) for number in range(103)]
    more = np.arange(count - len(train.paths)) % len(train.paths)
    others = np.array([chance.choice(of_class[number]) for number in train.classes[more]])
    share = chance.uniform(0.2, 0.8, (len(more), 1)).astype(np.float32)
    mixed = train.features[more] * share + train.features[others] * (1 - share)
    features = np.concatenate([train.features, mixed])[:count]
    classes = np.concatenate([train.classes, train.classes[more]])[:count]
    path = os.path.join(folder, "large")
    _index(path, features, classes)
    print(f"\n{count:,} photos, {os.path.getsize(path) / 1e6:.0f} MB; milliseconds:")
    opened = _times(lambda: Index.open(path))
    index = Index.open(path)
    queries = iter(np.tile(valid.features, (2, 1)))
    print(f"  open                {opened}")
    print(f"  search              {_times(lambda: index.search(next(queries)))}")
    units, hits = _unit(features), 0
    asked = valid.features[::8]
    for one in asked:
        exact = np.argsort(-(units @ one))[:5]
        hits += len({_path(number) for number in exact} & {
            found.photo.uri for found in index.search(one)
        })  # fmt: skip
    print(f"  of the five nearest by float32, found: {hits / len(asked) / 5:.1%}")


def _times(work: Callable[[], object], rounds: int = 31) -> str:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return f"median {statistics.median(times):.1f}, least {min(times):.1f}, first {times[0]:.1f}"


def _path(number: int) -> str:
    return f"file:///photos/{number}.jpg"


def _index(path: str, features: Floats, classes: npt.NDArray[np.int64]) -> Index:
    open(path, "wb").close()
    with Writer(path, Maker("any", "0" * 64), len(features), features.shape[1]) as writer:
        for number, (one, name) in enumerate(zip(features, classes.tolist(), strict=True)):
            uri = _path(number)
            row = Row(uri, uri, "0" * 64, 1, 1, 1, 1, str(name), None, name, 1.0, None)
            writer.add(row, quantised(one))
    return Index.open(path)


if __name__ == "__main__":
    fire.Fire(main)
