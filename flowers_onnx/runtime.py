"""onnxruntime, set up to be a quiet guest on a small machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from flowers_onnx.errors import ImageError, ModelError
from flowers_onnx.pixels import Pixels

_ERRORS_ONLY = 3
INPUT, OUTPUT = "image", "probabilities"


class Session:
    """One loaded network; ``probabilities`` may be called from several threads at once.

    A run takes the calling thread and no other. A second one would make a single photo 13 %
    faster, but photos side by side, which is how threads are used here, 9 % slower
    (``docs/performance.md``); and where there is no pool, nothing spins.
    """

    def __init__(self, path: str, size: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # One photo at a time has nothing to gain from an arena that keeps its peak.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = ort.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base
            raise ModelError(f"onnxruntime can't load {path}: {_first_line(error)}") from error
        inputs = [(i.name, i.type, i.shape[1:]) for i in self._session.get_inputs()]
        if inputs != [(INPUT, "tensor(uint8)", [size, size, 3])]:
            raise ModelError(f"{path} needs one input {INPUT!r}, uint8 [N, {size}, {size}, 3]")
        outputs = {item.name: item.shape for item in self._session.get_outputs()}
        if OUTPUT not in outputs:
            raise ModelError(f"{path} needs the output {OUTPUT!r}")
        #: Width of the output, where the file says it.
        classes = outputs[OUTPUT][-1]
        self.classes: int | None = classes if isinstance(classes, int) else None

    def probabilities(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """uint8 ``[H, W, 3]`` RGB -> float32 ``[classes]``; raises ``ImageError``."""
        try:
            (output,) = self._session.run([OUTPUT], {INPUT: pixels[np.newaxis]})
        except Exception as error:  # lack of memory, most likely: the next photo may do
            raise ImageError("internal_error", f"onnxruntime: {_first_line(error)}") from error
        result: npt.NDArray[np.float32] = output[0]
        return result


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
