"""What all tests share: the sample photo, the installed command, a loaded classifier."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import simd_level
from chromium import CHROMIUM, Chromium
from fakes.bigquery import BigQueryFake
from fakes.server import Fake
from support import FLOWERS, PATIENCE, SAMPLE, Run, lacks

from flowers_onnx import Classifier

# A shell's background job ignores Ctrl-C, one of nohup SIGHUP, and so would what the tests start.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)
    if number and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

with contextlib.suppress(ImportError):  # [export] lacks it
    from hypothesis import settings

    # How long an example takes is no verdict; all else as here and in CI.
    given = settings.get_profile(settings.get_current_profile_name())
    settings.register_profile("patient", given, deadline=None)
    settings.load_profile("patient")


def pytest_report_header() -> str:
    """Which kernels the answers come from: CI runs on whatever machine there is."""
    return f"SIMD: {simd_level()}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of a run: what to install for the tests that were skipped for lack of it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a process of pytest-xdist
        return
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    found = [re.search(r"apt-get install ([\w-]+)", reason) for reason in reasons]
    lacking = [match[1] for match in found if match]
    if lacking:
        packages = " ".join(sorted(set(lacking)))
        reporter.write_line(f"To run {len(lacking)} more: apt-get install {packages}")


@pytest.fixture(scope="session")
def sample() -> Path:
    return SAMPLE


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if CHROMIUM is None:
        pytest.skip(lacks("chromium-headless-shell"))
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryFake]:
    """The BigQuery that this process, and what it starts, talks to."""
    with BigQueryFake() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


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
            timeout=PATIENCE,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run


@pytest.fixture(scope="module")
def gcs() -> Iterator[Fake]:
    """A Google Cloud Storage without buckets."""
    from fakes.gcs import fake_gcs  # [export] lacks what it needs

    with fake_gcs() as fake:
        yield fake


@pytest.fixture(scope="module")
def s3() -> Iterator[Fake]:
    """An S3 without buckets."""
    from fakes.s3 import fake_s3

    with fake_s3() as fake:
        yield fake
