"""What ``flowers info`` tells: enough to reproduce a result or to file a bug."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from typing import Any

from flowers_onnx import __version__
from flowers_onnx.classifier import Classifier
from flowers_onnx.cpus import allowed_cpus


def describe(model: str | os.PathLike[str] | None, threads: int | None) -> dict[str, Any]:
    """The facts, loading the model to be sure that it works here; raises ``ModelError``."""
    classifier = Classifier(model, threads=threads)
    info = classifier.info
    with open(info.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "program": __version__,
        "model": {
            "id": info.id,
            "path": info.path,
            "bytes": os.path.getsize(info.path),
            "sha256": digest,
            "date": info.date,
            "dataset": info.dataset,
            "classes": len(info.labels),
            "input_size": info.preprocess.size,
            "crop_fraction": info.preprocess.crop_fraction,
            "kernel": info.preprocess.kernel,
            "license": info.license,
            "metrics": info.metrics,
        },
        "environment": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("onnxruntime", "numpy", "pillow", "fire")},
            "platform": platform.platform(),
            "cpus_allowed": allowed_cpus(),
            "threads": classifier.threads,
            "telemetry": "off" if os.environ["ORT_DISABLE_TELEMETRY"] == "1" else "on",
        },
    }
