"""How well a model file stands photos that go wrong: 15 kinds of corruption at 5 levels.

    python export/robustness.py DATA [--model FILE] [--before FILE] [--split valid]
        [--photos N] [--kinds NAME,...] [--processes 1] [--seed 0] [--out robustness]

The kinds are those of ImageNet-C (``lib/corruptions.py``). They are applied to the centred square
of a photo at 256 pixels, of which the network sees 224, the size for which their parameters were
published; the answers are those of the installed program. ``--photos N`` takes N photos, the same
number of each class as far as there are. The same photo, kind, level and seed give the same pixels,
whatever the model and the number of processes. Prints tables, and writes them and the figures to
``robustness.md`` and ``robustness.json`` in the folder ``--out``. Needs SciPy; no TensorFlow.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import fire
import numpy as np
from PIL import Image, ImageOps

from flowers_onnx import Classifier
from lib.command_line import words
from lib.corruptions import KINDS, LEVELS, SIDE, corrupt
from lib.dataset import Photo, digest, list_photos, spread
from lib.scores import shared_ids
from lib.tables import leave, row, rule

#: Of what is found of an answer: whether it is right, and whether the model knows (or -1).
RIGHT, KNOWN = 0, 1


def robustness(
    data: str,
    *,
    model: str = "",
    before: str = "",
    split: str = "valid",
    photos: int = 0,
    kinds: str = "",
    processes: int = 1,
    seed: int = 0,
    out: str = "robustness",
) -> None:
    """Classify photos as they are and in 75 corrupted forms.

    Args:
        before: a model file of the same classes to stand beside it
        photos: so many photos, spread over the classes; 0: all
        kinds: only these; all fifteen by default
        processes: each has a photo in work and the lowest priority
    """
    files = [before, model] if before else [model]
    infos = [Classifier(file or None).info for file in files]
    ids = shared_ids("robustness", infos)
    chosen = spread(list_photos(Path(data), split, ids))
    chosen = chosen[: photos or len(chosen)]
    if not chosen:
        raise SystemExit(f"robustness: no photos in {data}/{split}")
    some = words(kinds) or list(KINDS)
    if unknown := set(some) - KINDS.keys():
        raise SystemExit(f"robustness: no such kind: {', '.join(sorted(unknown))}")
    answers = _ask_all(files, chosen, some, seed, processes)

    report = {
        "photos": len(chosen),
        "seed": seed,
        "models": [
            {"model": info.id, **_figures(answers[:, i], some)} for i, info in enumerate(infos)
        ],
    }
    leave(Path(out), "robustness", report, _tables(report))


def _ask_all(
    files: list[str], photos: list[Photo], kinds: list[str], seed: int, processes: int
) -> np.ndarray:
    """int8 ``[photos, files, 1 + kinds, LEVELS, 2]``; of the first kind, the photo as it is."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, os.nice, (19,)) as pool:
        found = []
        tasks = ((files, photo, kinds, seed) for photo in photos)
        for answer in pool.map(_ask, tasks):
            found.append(answer)
            if len(found) % 20 == 0:
                so_far = np.mean([one[-1, 1:, :, RIGHT] for one in found])
                text = f"{len(found)} of {len(photos)} photos, {so_far:.1%} right so far"
                print(text, file=sys.stderr, flush=True)
    return np.stack(found)


def _ask(task: tuple[list[str], Photo, list[str], int]) -> np.ndarray:
    files, photo, kinds, seed = task
    classifiers = [_classifier(file) for file in files]
    square = _square(photo.path)
    key = int(digest(photo.path)[:8], 16)
    found = np.zeros((len(files), 1 + len(kinds), LEVELS, 2), np.int8)
    found[:, 0] = _answers(classifiers, square, photo.target)[:, None]
    for k, kind in enumerate(kinds):
        number = list(KINDS).index(kind)
        for level in range(1, LEVELS + 1):
            rng = np.random.default_rng((seed, key, number, level))
            corrupted = corrupt(kind, square, level, rng)
            found[:, 1 + k, level - 1] = _answers(classifiers, corrupted, photo.target)
    return found


@cache
def _classifier(file: str) -> Classifier:
    return Classifier(file or None, threads=1)


def _square(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    return np.asarray(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))


def _answers(classifiers: list[Classifier], pixels: np.ndarray, target: int) -> np.ndarray:
    found = []
    for classifier in classifiers:
        prediction = classifier.classify(pixels, top_k=1)
        right = prediction.class_id == classifier.info.labels[target].class_id
        found.append((right, -1 if prediction.known is None else prediction.known))
    return np.array(found, np.int8)


def _figures(answers: np.ndarray, kinds: list[str]) -> dict[str, Any]:
    """Of int8 ``[photos, 1 + kinds, LEVELS, 2]``, all rates by kind and by level."""
    right = answers[..., RIGHT].mean(axis=0)
    figures = {"clean": float(right[0, 0]), **_by_kind("accuracy", right[1:], kinds)}
    if (answers[..., KNOWN] >= 0).all():
        refused = 1 - answers[..., KNOWN].mean(axis=0)
        wrong = answers[..., RIGHT] == 0
        let_through = (wrong & (answers[..., KNOWN] == 1)).mean(axis=0)
        figures |= {"clean_not_known": float(refused[0, 0])}
        figures |= _by_kind("not_known", refused[1:], kinds)
        figures |= _by_kind("wrong_and_known", let_through[1:], kinds)
    return figures


def _by_kind(name: str, rates: np.ndarray, kinds: list[str]) -> dict[str, Any]:
    return {
        f"mean_{name}": float(rates.mean()),
        f"{name}_by_level": rates.mean(axis=0).tolist(),
        f"{name}_by_kind": dict(zip(kinds, rates.tolist(), strict=True)),
    }


def _tables(report: dict[str, Any]) -> Iterator[str]:
    parts = {
        "accuracy": "right",
        "not_known": "not known",
        "wrong_and_known": "wrong, and not refused",
    }
    for one in report["models"]:
        yield f"### {one['model']}, {report['photos']} photos\n"
        yield f"As they are: {one['clean']:.1%} right."
        for name, text in parts.items():
            if f"mean_{name}" not in one:
                continue
            yield "\n" + row(f"{text}, %", "mean", *range(1, LEVELS + 1))
            yield rule(2 + LEVELS)
            for kind, rates in one[f"{name}_by_kind"].items():
                yield _rates(kind.replace("_", " "), rates)
            yield _rates("all", one[f"{name}_by_level"])
        yield ""


def _rates(name: str, rates: list[float]) -> str:
    return row(name, *(f"{100 * rate:.1f}" for rate in (float(np.mean(rates)), *rates)))


if __name__ == "__main__":
    fire.Fire(robustness)
