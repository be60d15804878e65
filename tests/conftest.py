"""What all tests share: the sample photo, the installed command, a loaded classifier."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from answers import simd_level
from support import FLOWERS, SAMPLE, Run

from flowers_onnx import Classifier

# A shell's background job ignores Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which kernels the answers come from: CI runs on whatever machine there is."""
    return f"SIMD: {simd_level()}"


@pytest.fixture(scope="session")
def sample() -> Path:
    return SAMPLE


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture
def flowers(tmp_path: Path) -> Run:
    """Run the installed command in an empty folder; stdout and stderr are bytes."""

    def run(
        *words: str | bytes | Path,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [FLOWERS, *words],
            input=stdin,
            capture_output=True,
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run
