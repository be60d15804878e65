"""How far a run of several steps is, so that the same command goes on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowers_onnx.atomic import replacing


class RunState:
    """The steps that are done, beside the settings that the run was begun with.

    Raises ``SystemExit`` if these differ from ``settings``: what is done would not be theirs.
    """

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self._path, self._settings = path, dict(settings)
        self._done: list[str] = []
        if not path.exists():
            self._write()
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        self._done = found["done"]
        for key in sorted(found["settings"].keys() | settings.keys()):
            if found["settings"].get(key) != settings.get(key):
                raise SystemExit(
                    f"retrain: {path.parent} was begun with another {key}; "
                    "take another --out, or remove that folder"
                )

    def has(self, step: str, made: Path) -> bool:
        """Whether a step is done, and what it made still there."""
        return step in self._done and made.exists()

    def add(self, step: str) -> None:
        """A step is done: those after it, if they were, have to be done again."""
        if step in self._done:
            self._done = self._done[: self._done.index(step)]
        self._done.append(step)
        self._write()

    def _write(self) -> None:
        content = {"settings": self._settings, "done": self._done}
        write_json(self._path, content)


def write_json(path: Path, content: Any) -> None:
    """Replace ``path`` as a whole, so that a kill leaves the old or the new one."""
    with replacing(str(path)) as draft:
        Path(draft).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
