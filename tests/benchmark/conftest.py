"""One short run of ``flowers benchmark``, and results made up from it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import FLOWERS

Document = dict[str, Any]


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """All scenarios of one short run without a PATH, as JSON."""
    folder = tmp_path_factory.mktemp("measured")
    done = subprocess.run(
        [
            FLOWERS,
            "benchmark",
            "--max_seconds",
            "1",
            "--warmup",
            "0",
            "--threads",
            "1",
            "--format",
            "json",
        ],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert os.listdir(folder) == [], "the made-up photo stayed behind"
    lines = done.stderr.decode().splitlines()
    document: Document = json.loads(done.stdout)
    # A machine that is busy says so; nothing else is said without a terminal.
    assert lines == [f"flowers: warning: {warning}" for warning in document["warnings"]]
    return document


@pytest.fixture
def saved(measured: Document, tmp_path: Path) -> Callable[..., Path]:
    """A file with the measured rows, where all samples are made up: ``runs`` a row."""

    def save(name: str, runs: list[list[float]], **changes: dict[str, str]) -> Path:
        document = copy.deepcopy(measured)
        for key, facts in changes.items():
            document[key] |= facts
        for row in document["rows"]:
            row["samples"]["total"] = runs
        (tmp_path / name).write_text(json.dumps(document))
        return tmp_path / name

    return save
