"""onnxruntime, set up to be a quiet guest on a small machine."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowers_onnx.errors import ImageError, ModelError
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.network import Network
from flowers_onnx.pixels import Pixels

INPUT, OUTPUT, SCORE, FEATURES = "image", "probabilities", "known_score", "features"
#: How far from what they should be probabilities may be: float16 rounds that much.
_TOLERANCE = 0.01


class Answer(NamedTuple):
    """Of one photo: ``probabilities`` are float32 ``[classes]``.

    ``score`` is the known score, if the model has one; ``more`` holds the first row of each
    tensor that was asked for besides.
    """

    probabilities: npt.NDArray[np.float32]
    score: float | None
    more: list[Any]


class Session:
    """One loaded network; ``answer`` may be called from several threads at once.

    Photos side by side, which is how threads are used here, take a core each: on two, each would
    take 9 % more of them. A photo that is alone takes up to ``cores`` (``network.py``). ``content``
    is loaded in place of the file, for a graph that isn't quite the file's.

    Raises ``ModelError`` if the file can't be loaded, or takes or gives something else than its
    metadata say: with a rule for rejection it has to give a known score too.
    """

    def __init__(self, info: ModelInfo, *, cores: int = 1, content: bytes | None = None) -> None:
        path, size, classes = info.path, info.preprocess.size, len(info.labels)
        scored = info.rejection is not None
        try:
            self._session = Network(content or path, cores)
        except Exception as error:  # onnxruntime's errors have no common base
            raise ModelError(f"onnxruntime can't load {path}: {_first_line(error)}") from error
        inputs = [(i.name, i.type, i.shape[1:]) for i in self._session.get_inputs()]
        if inputs != [(INPUT, "tensor(uint8)", [size, size, 3])]:
            raise ModelError(f"{path} needs one input {INPUT!r}, uint8 [N, {size}, {size}, 3]")
        outputs = {item.name: item.shape for item in self._session.get_outputs()}
        if not outputs.get(OUTPUT):
            raise ModelError(f"{path} needs the output {OUTPUT!r}")
        width = outputs[OUTPUT][-1]  # a name where the file leaves it open
        if isinstance(width, int) and width != classes:
            raise ModelError(f"{path} has {width} outputs for {classes} labels")
        if scored and SCORE not in outputs:
            raise ModelError(f"{path} has a rule for rejection; it needs the output {SCORE!r}")
        self._path, self._classes, self._given = path, classes, frozenset(outputs)
        self._outputs = [OUTPUT, SCORE] if scored else [OUTPUT]

    def answer(self, pixels: Pixels, *more: str) -> Answer:
        """Of uint8 ``[H, W, 3]`` RGB, with the outputs ``more`` besides.

        Raises ``ModelError`` for an output that the network hasn't, and ``ImageError`` where it
        gives something else than an answer, which a broken file may do for all photos, or some.
        """
        for name in more:
            if name not in self._given:
                raise ModelError(f"{self._path} needs the output {name!r} for this")
        try:
            output, *others = self._session.run(
                [*self._outputs, *more], {INPUT: pixels[np.newaxis]}
            )
        except Exception as error:  # lack of memory, most likely: the next photo may do
            raise ImageError("internal_error", f"onnxruntime: {_first_line(error)}") from error
        if getattr(output, "shape", None) != (1, self._classes) or output.dtype.kind != "f":
            raise _no_answer(f"it gives no row of {self._classes} numbers")
        # Not the other way round: nothing is true of what is no number.
        if not (output.min() >= -_TOLERANCE and output.max() <= 1 + _TOLERANCE):
            raise _no_answer("it gives numbers that aren't between 0 and 1")
        result: npt.NDArray[np.float32] = output[0].astype(np.float32, copy=False)
        total = float(result.sum())
        if abs(total - 1) > _TOLERANCE:
            raise _no_answer(f"what it gives adds up to {total:.3g}, not to 1")
        score = _score(others.pop(0)) if len(self._outputs) > 1 else None
        return Answer(result.clip(0, 1), score, [_row(values) for values in others])


def _row(values: Any) -> Any:
    if getattr(values, "shape", (0,))[:1] != (1,) or not np.isfinite(values).all():
        raise _no_answer("it gives no row of numbers")
    return values[0]


def _score(output: Any) -> float:
    if getattr(output, "shape", None) != (1,) or output.dtype.kind != "f":
        raise _no_answer("it gives no single known score")
    score = float(output[0])
    if not math.isfinite(score):
        raise _no_answer("its known score is no number")
    return score


def _no_answer(why: str) -> ImageError:
    return ImageError("internal_error", f"the model's output is no answer: {why}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
