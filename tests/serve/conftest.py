"""Real servers for the tests: one that all share, and others to order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, StartServer, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """``flowers serve`` as it starts by itself, without keys, photos or rows kept."""
    with serving() as started:
        yield started
        assert started.running()
        assert "Traceback" not in started.stderr + started.stdout


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start ``flowers serve`` with these flags; ``env`` and ``ready`` as ``serving`` has them.

    Those that are still there are killed at the end. Nothing may have a traceback.
    """
    with contextlib.ExitStack() as stack:
        started = list[Server]()

        def start(*flags: str | Path, **more: Any) -> Server:
            started.append(stack.enter_context(serving(*flags, **more)))
            return started[-1]

        yield start
        for one in started:
            assert "Traceback" not in one.stderr + one.stdout


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries of a service far away: next to none."""
    from flowers_onnx.serve.trace import fresh

    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.02)))
    monkeypatch.setattr(fresh, "_PAUSES", (0.02, 0.1))
