"""What a training run leaves behind: a checkpoint to resume from, figures and curves."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras

from lib.curves import plot_curves
from lib.run_state import write_json


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: the model with its optimiser, the history, and the curves."""

    def __init__(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().__init__()
        self._folder, self._history = folder, history

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  Keras's own
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {key: round(float(value), 5) for key, value in (logs or {}).items()}
        seconds = round(time.perf_counter() - self._started, 1)
        self._history.append({"epoch": epoch + 1, "seconds": seconds, **row})
        # The model first: a kill in between only repeats an epoch.
        temporary = self._folder / "writing.keras"
        self.model.save(temporary)
        os.replace(temporary, self._folder / "checkpoint.keras")
        write_json(self._folder / "metrics.json", {"history": self._history})
        plot_curves(self._history, self._folder / "curves.png")
