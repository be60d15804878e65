"""Parity of Keras, ONNX float32 and ONNX int8 on every validation photo, file to label.

    python export/verify.py DATA --keras_model model/flowers.keras
        --fp32 model/flowers-fp32.onnx [--int8 model/flowers-int8.onnx] [--ship model/flowers.onnx]
        [--out verify.json] [--threads 1]

Exit 1 when parity is lost: a label of float32 that is not Keras's, a probability further
than 1e-3 from Keras's, or int8 more than 0.3 points below float32. ``--ship`` writes the
file that users get, with its figures inside: int8 unless it loses more than that.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import numpy as np
import onnx
from optimize import optimize

from flowers_onnx.metadata import read_info
from lib import model_metadata, onnx_gates
from lib.dataset import class_ids, list_photos
from lib.photo_classifier import PhotoClassifier, read_photo
from lib.rejection import graph as rejection_graph

MAX_DIFFERENCE = 1e-3
MAX_LOSS = 0.3  # percentage points
KERAS, FP32, INT8 = "keras", "onnx fp32", "onnx int8"


@dataclass(frozen=True)
class Result:
    """One file on all photos; differences are to the file it was made from."""

    name: str
    megabytes: float
    top1: float  # percent
    top5: float  # percent
    differing_labels: int
    max_difference: float
    ms_per_photo: float  # median, without decoding


def main(
    data: str,
    *,
    keras_model: str,
    fp32: str,
    int8: str = "",
    ship: str = "",
    out: str = "",
    threads: int = 1,
) -> None:
    """Print the parity table and decide what ships.

    Args:
        data: a folder-per-class data set, of which ``data/valid`` is read.
        keras_model: the trained ``.keras`` file.
        fp32: what ``convert.py`` made of it.
        int8: what ``quantize.py`` made of that; optional.
        ship: where to write the file for users.
        out: a JSON file for the figures.
        threads: of every runtime, for times that can be compared.
    """
    preprocess = read_info(Path(fp32)).preprocess
    photos = list_photos(Path(data), "valid", class_ids(Path(data)))
    targets = np.array([photo.target for photo in photos])
    started = time.perf_counter()
    images = [read_photo(photo.path, preprocess) for photo in photos]
    decoding = 1000 * (time.perf_counter() - started) / len(photos)

    files = {KERAS: keras_model, FP32: fp32} | ({INT8: int8} if int8 else {})
    results: dict[str, Result] = {}
    previous: np.ndarray | None = None
    print(f"{len(photos)} photos, {decoding:.1f} ms each to decode, {threads} thread(s)")
    print(f"{'file':<10}{'MB':>7}{'top-1':>9}{'top-5':>9}{'labels':>8}{'max diff':>10}{'ms':>8}")
    for name, path in files.items():
        classify = _keras(path, threads) if name == KERAS else _onnx(path, threads)
        values, milliseconds = _run(classify, images)
        results[name] = _score(name, path, values, previous, targets, milliseconds)
        previous = values
        print(_line(results[name]), flush=True)

    failures = parity_failures(results)
    choice = choose(results)
    print(f"ship: {choice}")
    if out:
        record = {
            "photos": len(photos),
            "decoding_ms": round(decoding, 2),
            "threads": threads,
            "results": [asdict(result) for result in results.values()],
            "ship": choice,
            "failures": failures,
        }
        Path(out).write_text(json.dumps(record, indent=2) + "\n")
    if ship and choice:
        write_shipped(files[choice], ship, results, choice, len(photos))
    if failures:
        raise SystemExit("verify: " + "; ".join(failures))


def parity_failures(results: dict[str, Result]) -> list[str]:
    """Why the files are not equivalent; empty when they are."""
    failures, exact = [], results[FP32]
    if exact.differing_labels:
        failures.append(f"{exact.differing_labels} labels of {FP32} differ from {KERAS}")
    if not exact.max_difference <= MAX_DIFFERENCE:
        failures.append(f"{FP32} differs from {KERAS} by {exact.max_difference:.2g}")
    if INT8 in results and _loss(results) > MAX_LOSS:
        failures.append(f"{INT8} loses {_loss(results):.2f} points, more than {MAX_LOSS}")
    return failures


def choose(results: dict[str, Result]) -> str | None:
    """The file to ship; none when the conversion itself went wrong."""
    if parity_failures({name: results[name] for name in (KERAS, FP32)}):
        return None
    return INT8 if INT8 in results and _loss(results) <= MAX_LOSS else FP32


def write_shipped(
    source: str, target: str, results: dict[str, Result], choice: str, photos: int
) -> None:
    """Write ``source``, fused for onnxruntime and with the measured figures, to ``target``."""
    model = onnx.load(source)
    info = read_info(Path(source))
    metrics = info.metrics | {
        "photos": photos,
        "split": "valid",
        "top1": round(results[choice].top1, 2),
        "top5": round(results[choice].top5, 2),
        "top1_of": {name: round(result.top1, 2) for name, result in results.items()},
    }
    model_metadata.write(model, replace(info, metrics=metrics))
    onnx_gates.check(model)
    onnx.save(optimize(model), target)
    print(f"{target}: {os.path.getsize(target) / 1e6:.1f} MB", file=sys.stderr)


def _loss(results: dict[str, Result]) -> float:
    # Rounded, so that 0.3 points exactly is not more than 0.3 in binary.
    return round(results[FP32].top1 - results[INT8].top1, 6)


Classify = Callable[[np.ndarray], np.ndarray]


def _onnx(path: str, threads: int) -> Classify:
    model = onnx.load(path)
    rejection_graph.strip(model)  # whose temperature Keras doesn't have
    return PhotoClassifier(model.SerializeToString(), threads=threads).probabilities


def _keras(path: str, threads: int) -> Classify:
    # TensorFlow reads these when it starts, and refuses the same as calls later.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    from lib.keras_classifier import load, wrap

    model: Any = wrap(load(path))
    return lambda pixels: model.predict_on_batch(pixels[None])["probabilities"][0]


def _run(classify: Classify, images: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Probabilities ``[n, classes]`` and the median milliseconds an image."""
    values, seconds = [], []
    for image in [images[0], *images]:  # the first run warms up
        started = time.perf_counter()
        values.append(np.asarray(classify(image)))
        seconds.append(time.perf_counter() - started)
    return np.stack(values[1:]), 1000 * statistics.median(seconds[1:])


def _score(
    name: str,
    path: str,
    values: np.ndarray,
    previous: np.ndarray | None,
    targets: np.ndarray,
    milliseconds: float,
) -> Result:
    reference = values if previous is None else previous
    best = np.argsort(-values, axis=1, kind="stable")[:, :5]
    return Result(
        name=name,
        megabytes=os.path.getsize(path) / 1e6,
        top1=100 * float((best[:, 0] == targets).mean()),
        top5=100 * float((best == targets[:, None]).any(axis=1).mean()),
        differing_labels=int((best[:, 0] != reference.argmax(axis=1)).sum()),
        max_difference=float(np.abs(values - reference).max()),
        ms_per_photo=milliseconds,
    )


def _line(result: Result) -> str:
    return (
        f"{result.name:<10}{result.megabytes:>7.1f}{result.top1:>8.2f}%{result.top5:>8.2f}%"
        f"{result.differing_labels:>8}{result.max_difference:>10.2g}{result.ms_per_photo:>8.2f}"
    )


if __name__ == "__main__":
    fire.Fire(main)
