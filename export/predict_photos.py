"""Classify a list of photos with one ONNX file, as a child process of ``crosscheck.py``.

Reads a JSON job ``{"model": path, "photos": [paths], "exact": bool}`` on stdin, writes
``{"probabilities": [[...]], "seconds": s, "simd": [...]}`` on stdout. Only onnxruntime,
NumPy and Pillow are imported: it runs under any Python that has them, emulated or not.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path

from photo_classifier import PhotoClassifier, read_photo

from flowers_onnx.metadata import read_info


def main() -> None:
    """Run the job on stdin."""
    job = json.load(sys.stdin)
    classifier = PhotoClassifier(job["model"], exact=job["exact"])
    preprocess = read_info(Path(job["model"])).preprocess
    started = time.perf_counter()
    probabilities = [
        classifier.probabilities(read_photo(Path(photo), preprocess)).tolist()
        for photo in job["photos"]
    ]
    seconds = time.perf_counter() - started
    # What the (emulated) processor says of itself: proof that no VNNI was used.
    cpu_features = import_module("numpy._core._multiarray_umath").__cpu_features__
    simd = [name for name, present in cpu_features.items() if present]
    json.dump({"probabilities": probabilities, "seconds": seconds, "simd": simd}, sys.stdout)


if __name__ == "__main__":
    main()
