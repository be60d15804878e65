"""New processes, timed from outside: wall time from spawn to exit, and CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from flowers_onnx.errors import FlowersError

#: The word by which `flowers_onnx/__main__.py` runs the probe, where `-m` doesn't reach it.
PROBE = "__probe__"


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended well: ``time.perf_counter`` stamps in s, CPU time in ms."""

    spawned: float
    ended: float
    cpu: float | None
    output: bytes


def flowers_command() -> list[str]:
    """The ``flowers`` command of this installation, else its module form."""
    if _is_frozen():
        return [sys.executable]
    name = "flowers.exe" if os.name == "nt" else "flowers"
    script = Path(sys.executable).with_name(name)
    return [str(script)] if script.exists() else _module("flowers_onnx")


def probe_command() -> list[str]:
    """The same with ``cli/probe.py`` around it."""
    return [sys.executable, PROBE] if _is_frozen() else _module("flowers_onnx.cli.probe")


def _module(name: str) -> list[str]:
    """Run by this interpreter, which imports nothing from the current folder."""
    return [sys.executable, "-P", "-m", name]


def _is_frozen() -> bool:
    """Whether the interpreter is part of this program, and takes its words only (PyInstaller)."""
    return getattr(sys, "frozen", False)


def run(command: list[str]) -> Finished:
    """Run ``command`` to its end; raises ``FlowersError`` if it fails."""
    spawned = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  this program, by its own paths
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            output, complaint = _read(process)
            cpu = _wait(process)
            ended = time.perf_counter()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        reason = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise FlowersError(
            f"a measured process ended with {process.returncode}: {' '.join(reason) or command}"
        )
    return Finished(spawned, ended, cpu, output)


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    # One after the other: a process that gives one line of result fills neither pipe.
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes")
    return process.stdout.read(), process.stderr.read()


def _wait(process: subprocess.Popen[bytes]) -> float | None:
    """Wait for the end; user and system time in ms, where the system tells it."""
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return (usage.ru_utime + usage.ru_stime) * 1e3
