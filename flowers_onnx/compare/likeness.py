"""How alike species are to a network, by what its file keeps of the photos it learned from.

For its known score a file has prototypes: typical photos of each class, as directions from the
middle of all (``export/rejection.py``). docs/compare.md says how well these figures tell what is
taken for what, and what was tried besides.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from flowers_onnx.errors import ModelError
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.onnx_graph import read_head, read_tensors
from flowers_onnx.runtime import OUTPUT

_PROTOTYPES, _CENTRE = "known/prototypes", "known/centre"
#: How far photos are from their middle, in lengths of that from 0: 2.8 in the model that ships,
#: and nothing changes much from 2 to 8.
_SPREAD = 3

Floats = npt.NDArray[np.float64]


class Likeness:
    """Of the classes of one model, by their positions.

    ``cosines`` ``[C, C]`` are those of typical photos; ``logits`` ``[C, C]`` what the network says
    of the second class on a typical photo of the first.
    """

    def __init__(self, cosines: Floats, logits: Floats) -> None:
        self._cosines = cosines
        # Of equally likely ones the first comes first; a class is never beside itself.
        order = np.argsort(-logits, axis=1, kind="stable")
        self._order = [[n for n in row if n != a] for a, row in enumerate(order.tolist())]

    @classmethod
    def of(cls, info: ModelInfo) -> Self | None:
        """None for a file that doesn't keep enough; raises ``ModelError`` if it can't be read."""
        try:
            with open(info.path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise ModelError(f"can't read the model {info.path}: {error.strerror}") from error
        try:
            head = read_head(content, OUTPUT)
            prototypes, centre = read_tensors(content, _PROTOTYPES, _CENTRE)
            typical = _typical(prototypes.astype(np.float64), centre.astype(np.float64))
            logits = typical @ head.weights + head.bias
        except ValueError:  # shapes that don't fit, too
            return None
        classes = len(info.labels)
        owners = logits.argmax(axis=1)
        if logits.shape[1] != classes or set(owners.tolist()) != set(range(classes)):
            return None
        middles = _unit(
            np.stack([_unit(typical[owners == a]).mean(axis=0) for a in range(classes)])
        )
        means = np.stack([logits[owners == a].mean(axis=0) for a in range(classes)])
        return cls(middles @ middles.T, means)

    def alike(self, a: int, b: int) -> float:
        """The cosine of typical photos of two classes: 1 is the same, 0 has nothing in common."""
        return min(max(float(self._cosines[a, b]), -1.0), 1.0)

    def share_below(self, alike: float) -> float:
        """The share of all pairs of classes that are less alike than that, 0 to 1."""
        pairs = self._cosines[np.triu_indices(len(self._cosines), 1)]
        return float((pairs < alike).mean())

    def next(self, a: int, most: int = 3) -> list[int]:
        """The classes that the network would soonest name if it weren't ``a``."""
        return self._order[a][:most]

    def place(self, a: int, b: int) -> int:
        """Which of these ``b`` is, from 1 on."""
        return self._order[a].index(b) + 1


def _typical(prototypes: Floats, centre: Floats) -> Floats:
    """Features of typical photos ``[K, D]``, of directions ``[D, K]`` from the centre ``[D]``."""
    if prototypes.ndim != 2 or centre.shape != prototypes.shape[:1]:
        raise ValueError("other shapes")
    typical = centre + _SPREAD * np.linalg.norm(centre) * _unit(prototypes.T)
    if not np.isfinite(typical).all():
        raise ValueError("not finite")
    return np.asarray(typical)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))
