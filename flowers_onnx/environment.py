"""What results are made with and where: the model file, the libraries, the machine, the run.

``flowers info`` shows it, a batch puts it beside its result, a benchmark into it.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import secrets
import socket
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from flowers_onnx import __version__
from flowers_onnx.machine import allowed_cpus, cgroup_quota
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.record import RECORD_SCHEMA

if TYPE_CHECKING:
    from flowers_onnx.classifier import Classifier


class _Machine(TypedDict):
    """The CPU, how many the system has and how many this process may use; None is unknown."""

    cpu: str
    cpus: int | None
    cpus_affinity: int | None
    cpus_cgroup_quota: float | None
    cpus_allowed: int
    python: str


class LibraryVersions(TypedDict):
    """The libraries that decide on an answer."""

    onnxruntime: str
    numpy: str
    pillow: str


class MachineFacts(_Machine, LibraryVersions):
    """What makes figures differ between machines and installations."""

    platform: str


#: Their names, in order.
MACHINE_FACTS = tuple(MachineFacts.__annotations__)


def model_sha256(info: ModelInfo) -> str:
    """The hash of the model's file, in hexadecimal; raises ``OSError``."""
    with open(info.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_versions() -> LibraryVersions:
    """The versions of onnxruntime, NumPy and Pillow."""
    import numpy as np
    import onnxruntime as ort
    import PIL

    return {
        "onnxruntime": ort.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


def installation_facts(classifier: Classifier) -> dict[str, Any]:
    """What ``flowers info`` tells: enough to reproduce a result or to file a bug."""
    import fire

    info = classifier.info
    return {
        "program": __version__,
        "model": {
            "id": info.id,
            "path": info.path,
            "bytes": os.path.getsize(info.path),
            "sha256": model_sha256(info),
            "date": info.date,
            "dataset": info.dataset,
            "classes": len(info.labels),
            "input_size": info.preprocess.size,
            "crop_fraction": info.preprocess.crop_fraction,
            "kernel": info.preprocess.kernel,
            "license": info.license,
            "metrics": info.metrics,
            "rejection": asdict(info.rejection) if info.rejection else None,
            "prediction_set": asdict(info.prediction_set) if info.prediction_set else None,
        },
        "environment": {
            "python": platform.python_version(),
            **library_versions(),
            "fire": fire.__version__,
            "platform": platform.platform(),
            "cpus_allowed": allowed_cpus(),
            "threads": classifier.threads,
            "telemetry": "off" if os.environ["ORT_DISABLE_TELEMETRY"] == "1" else "on",
        },
    }


def machine_facts() -> MachineFacts:
    """Those of this machine and this process."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "cpus_affinity": affinity,
        "cpus_cgroup_quota": cgroup_quota(),
        "cpus_allowed": allowed_cpus(),
        "python": platform.python_version(),
        **library_versions(),
        "platform": platform.platform(),
    }


def cpu_model() -> str:
    """The CPU's name as the system gives it."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("model name", "Model\t")):  # x86; some arm64 boards
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def new_run_id() -> str:
    """The time, for people, and chance, so that no two runs have the same."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def run_versions() -> dict[str, str]:
    """The program's version, and those of what decides on an answer."""
    return {
        "flowers-onnx": __version__,
        "result_record": RECORD_SCHEMA,
        **{name: str(version) for name, version in library_versions().items()},
        "python": platform.python_version(),
    }


def run_host() -> dict[str, str]:
    """Where a run is; in a Cloud Run job, also which execution and task."""
    cloud_run = ("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX")
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        **{name.lower(): os.environ[name] for name in cloud_run if name in os.environ},
    }


def user() -> str:
    """Who runs this, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
