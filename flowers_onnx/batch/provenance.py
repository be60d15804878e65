"""The provenance record of a run: what made a result, from what, where and how long."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import secrets
import socket
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from flowers_onnx.batch.schema import time_to_text
from flowers_onnx.batch.storage import store_for
from flowers_onnx.metadata import ModelInfo

#: Version of the record.
SCHEMA = "1.0"


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
        """Put the record at ``uri``, a path or in a bucket; raises ``OutputError``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        with tempfile.TemporaryDirectory(prefix="flowers-") as folder:
            path = os.path.join(folder, "run.json")
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            store_for(uri).upload(path, uri)


def utc_now() -> str:
    """The time in ISO 8601 to the millisecond, ending in Z."""
    return time_to_text(datetime.now(UTC))


def new_run_id() -> str:
    """The time, for people, and chance, so that no two runs have the same."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def model_facts(info: ModelInfo) -> dict[str, str]:
    """The model's name and the hash of its file."""
    with open(info.path, "rb") as file:
        return {"id": info.id, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def versions() -> dict[str, str]:
    """The program's, and those of what decides on an answer."""
    import numpy as np
    import onnxruntime
    import PIL

    from flowers_onnx import __version__
    from flowers_onnx.results import RECORD_SCHEMA

    return {
        "flowers-onnx": __version__,
        "result_record": RECORD_SCHEMA,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, Any]:
    """Where it ran; in a Cloud Run job, also which execution and task."""
    cloud_run = ("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX")
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        **{name.lower(): os.environ[name] for name in cloud_run if name in os.environ},
    }


def user() -> str:
    """Who ran it, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
