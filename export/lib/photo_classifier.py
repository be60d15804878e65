"""An exported file run by onnxruntime in a session fit for comparisons.

Needs only what the program itself needs, so that it also runs where TensorFlow can't.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Pixels, decode

#: How a square is taken out of a photo, unless ``convert.py`` is told otherwise.
CROP_FRACTION, KERNEL = 0.875, "bilinear"


def read_photo(path: Path, preprocess: Preprocess) -> Pixels:
    """The network's input for one photo, as the program makes it: uint8 ``[S, S, 3]``."""
    with path.open("rb") as file:
        return decode(file, preprocess).pixels


class PhotoClassifier:
    """One ONNX file (a path, or its bytes) with a fixed number of threads.

    ``exact`` keeps integer products from saturating on x86 processors without VNNI, at the
    price of speed: the reference that a file for every processor must be equal to.
    """

    def __init__(self, model: str | bytes, *, threads: int = 1, exact: bool = False) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # A spinning worker steals time from whatever else is measured.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if exact:
            options.add_session_config_entry("session.x64quantprecision", "1")
        self._session: Any = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, pixels: Pixels) -> np.ndarray:
        """float32 ``[classes]`` for one uint8 ``[S, S, 3]``."""
        (values,) = self._session.run(["probabilities"], {"image": pixels[None]})
        return np.asarray(values[0])

    @property
    def knows(self) -> bool:
        """Whether the file has a known score."""
        return any(output.name == "known_score" for output in self._session.get_outputs())

    def known_score(self, pixels: Pixels) -> float:
        """How much one uint8 ``[S, S, 3]`` is like what it was trained on."""
        (scores,) = self._session.run(["known_score"], {"image": pixels[None]})
        return float(scores[0])
