"""The result as one JSON document; ``docs/benchmark.md`` describes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flowers_onnx import __version__
from flowers_onnx.benchmark.options import Options
from flowers_onnx.benchmark.rounds import Case
from flowers_onnx.benchmark.samples import summary
from flowers_onnx.photos import display_path

KIND = "flowers-onnx benchmark"
#: A minor step (1.1) adds fields, a major step (2.0) changes or removes some.
SCHEMA = "1.0"

#: The stages of a photo, in the order in which they happen.
STAGES = (
    "start",
    "arguments",
    "imports",
    "load",
    "read",
    "decode",
    "preprocess",
    "inference",
    "postprocess",
    "output",
    "exit",
)


def document(
    options: Options,
    cases: Sequence[Case],
    *,
    environment: dict[str, Any],
    photos: dict[str, Any],
    stopped_by: str,
    warnings: list[str],
) -> dict[str, Any]:
    """Everything that was found, and all that is needed to find it again."""
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "program": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {
            "min_runs": options.min_runs,
            "max_seconds": options.max_seconds,
            "precision": options.precision,
            "warmup": options.warmup,
        },
        "environment": environment,
        "photos": photos,
        "stopped_by": stopped_by,
        "rows": [_row(case) for case in cases],
        "warnings": warnings,
        "comparison": None,
    }


def _row(case: Case) -> dict[str, Any]:
    names = ("total", "cpu", *STAGES)
    samples = {name: runs for name in names if (runs := case.samples(name))}
    stages = {name: summary(runs) for name, runs in samples.items()}
    offline = case.scenario == "offline"
    return {
        "scenario": case.scenario,
        "model": {
            "name": case.model,
            "file": display_path(os.path.basename(case.subject.classifier.info.path)),
            "sha256": case.subject.sha256,
        },
        "threads": case.subject.threads,
        "runs": len(case.runs),
        "ms": stages,
        "photos_per_second": round(1e3 / stages["total"]["p50"], 2) if offline else None,
        "first_ms": case.subject.first,
        "peak_rss_mib": case.measured.peak_rss,
        "not_included": case.measured.not_included,
        "samples": {
            name: [[round(value, 4) for value in run] for run in runs]
            for name, runs in samples.items()
        },
        "comparison": None,
    }
