"""Name the flower in a photo, on CPU, without a deep-learning framework.

>>> from flowers_onnx import Classifier
>>> Classifier().classify("photo.jpg").label
'sunflower'
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # not typing's: importing that takes longer than `flowers --version`
if TYPE_CHECKING:
    from typing import Any

# The official onnxruntime wheels send telemetry and write below HOME from the moment they
# are imported, so this must come before the first import; a value the user set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Classifier",
    "Embedding",
    "Explanation",
    "Failure",
    "FlowersError",
    "HeatMap",
    "ImageError",
    "ModelError",
    "ModelInfo",
    "OutputError",
    "Prediction",
    "Query",
    "StoppedError",
    "StorageError",
    "Timing",
    "UsageError",
    "__version__",
]

if TYPE_CHECKING:
    from flowers_onnx.classifier import Classifier
    from flowers_onnx.errors import (
        FlowersError,
        ImageError,
        ModelError,
        OutputError,
        StoppedError,
        StorageError,
        UsageError,
    )
    from flowers_onnx.explanation import Embedding, Explanation, HeatMap
    from flowers_onnx.metadata import ModelInfo
    from flowers_onnx.results import Candidate, Failure, Prediction, Query, Timing

_HOMES = {
    "Candidate": "results",
    "Classifier": "classifier",
    "Embedding": "explanation",
    "Explanation": "explanation",
    "Failure": "results",
    "FlowersError": "errors",
    "HeatMap": "explanation",
    "ImageError": "errors",
    "ModelError": "errors",
    "ModelInfo": "metadata",
    "OutputError": "errors",
    "Prediction": "results",
    "Query": "results",
    "StoppedError": "errors",
    "StorageError": "errors",
    "Timing": "results",
    "UsageError": "errors",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: `flowers --version` must not wait for numpy and onnxruntime.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
