"""The provenance record of a run: what made a result, from what, where and how long."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from flowers_onnx.storage import store_for

#: Version of the record.
SCHEMA = "1.1"


@dataclass(frozen=True, slots=True)
class Provenance:
    """One run, as it ended; times are UTC in ISO 8601, counts are images."""

    run_id: str
    started_at: str
    ended_at: str
    seconds: float
    arguments: dict[str, Any]
    result: str
    counts: dict[str, int]
    labels: dict[str, int]
    errors: dict[str, int]
    model: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, Any]
    user: str
    schema: str = SCHEMA

    def write(self, uri: str) -> None:
        """Put the record at ``uri``, a path or in a bucket; raises ``StorageError``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        store_for(uri).write(uri, text.encode("utf-8", "backslashreplace"))
