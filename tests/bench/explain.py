"""Does a heat map show what counts? Hide the hot part of each photo, and see what is left.

    python tests/bench/explain.py hide DATA [--photos 200] [--seed 1]
    python tests/bench/explain.py cold [--runs 15]

``cold`` tells how long one photo takes, beside ``flowers classify``. ``DATA`` is a folder of
photos, at any depth. Of each photo, what the network sees of it, a fifth is painted over in its
mean colour: the hottest, one at random (a map of random cells, as smooth), and the middle, since
flowers are in the middle. Told is how much of the confidence goes, and how often more goes than
at random. Before that, whether the answers with a map are those without, to the bit, and mean and
bias the logit.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
import numpy as np
import numpy.typing as npt
from PIL import Image

from flowers_onnx import Classifier
from flowers_onnx.photos import PhotoReader
from flowers_onnx.pixels import Pixels
from flowers_onnx.sources import expand

_SHARE = 0.2
Floats = npt.NDArray[np.float32]


def hide(data: str, photos: int = 200, seed: int = 1) -> None:
    """Print all of it."""
    paths = [path for path in expand([str(data)], None) if isinstance(path, str)]
    random.Random(seed).shuffle(paths)
    paths = paths[:photos]
    classifier, explains = Classifier(), Classifier(explains=True)
    _compare(classifier, explains, paths)
    draw = np.random.default_rng(seed)
    reader = PhotoReader(classifier.info.preprocess, 10**9)
    drops: dict[str, list[float]] = {"hot": [], "random": [], "middle": []}
    for path in paths:
        seen = reader.read(path).decoded
        if seen is None:
            continue
        # What the network sees, given as a photo whose middle that is.
        pixels = _framed(seen.pixels, classifier.info.preprocess.crop_fraction)
        explained = explains.explain(pixels)
        size = seen.pixels.shape[0]
        away = np.abs(np.arange(size) - (size - 1) / 2).astype(np.float32)
        maps = {
            "hot": _smooth(explained.heat.cells, size),
            "random": _smooth(draw.random(explained.heat.cells.shape, np.float32), size),
            "middle": -np.hypot(away[:, None], away[None, :]),
        }
        for name, heat in maps.items():
            hidden = _framed(_hide(seen.pixels, heat), classifier.info.preprocess.crop_fraction)
            left = classifier.classify(hidden, top_k=len(classifier.info.labels)).top
            (now,) = (one for one in left if one.class_id == explained.candidate.class_id)
            drops[name].append(explained.candidate.confidence - now.confidence)
    found = {name: np.array(values) for name, values in drops.items()}
    print(f"{len(found['hot'])} photos, a fifth of each hidden")
    for name, values in found.items():
        more = (values > found["random"]).mean()
        print(f"{name:7}  confidence falls by {values.mean():.3f}; more than at random: {more:.1%}")


def cold(runs: int = 15) -> None:
    """Wall time of new processes, in turn, and its ratio to that of ``flowers classify``."""
    flowers, photo = str(Path(sys.executable).parent / "flowers"), "docs/sample/dahlia.jpg"
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            for name in ("classify", "why.png", "why.jpg", "why.jsonl"):
                out = [] if name == "classify" else ["--out", f"{folder}/{name}"]
                command = [flowers, "explain" if out else name, photo, *out]
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    for name, took in seconds.items():
        ratios = [one / other for one, other in zip(took, seconds["classify"], strict=True)]
        print(f"{name:9} {statistics.median(took):.3f} s  {statistics.median(ratios):.2f}")


def _compare(classifier: Classifier, explains: Classifier, paths: list[str]) -> None:
    same, worst = 0, 0.0
    for path in paths:
        explained, embedding = explains.explain(path), classifier.embed(path)
        same += explained.prediction == classifier.classify(path) == embedding.prediction
        index = classifier.info.find(str(explained.candidate.class_id))
        head = explains._explainer._head
        logit = embedding.features.astype(float) @ head.weights[:, index] + head.bias[index]
        worst = max(worst, abs(float(logit) - explained.heat.logit))
    print(f"the same to the bit: {same} of {len(paths)}; mean and bias from the logit: {worst:.1e}")


def _smooth(cells: Floats, size: int) -> Floats:
    picture = Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _hide(pixels: Pixels, heat: Floats) -> Pixels:
    count = round(heat.size * _SHARE)
    hidden = heat >= np.partition(heat.ravel(), -count)[-count]
    changed = pixels.copy()
    changed[hidden] = pixels.mean((0, 1))
    return changed


def _framed(pixels: Pixels, crop_fraction: float) -> Pixels:
    """A photo of which the network sees just these pixels."""
    size = round(pixels.shape[0] / crop_fraction / 2) * 2
    edge = (size - pixels.shape[0]) // 2
    return np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), mode="edge")


if __name__ == "__main__":
    fire.Fire({"hide": hide, "cold": cold})
