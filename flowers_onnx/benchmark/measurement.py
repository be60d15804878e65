"""From the options to a document: load, check, measure, write down."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from flowers_onnx import __version__
from flowers_onnx.benchmark import compare, load, photo
from flowers_onnx.benchmark.document import KIND, SCHEMA, STAGES, Document, Environment, Row
from flowers_onnx.benchmark.options import Options
from flowers_onnx.benchmark.rounds import Case, Enough, measure
from flowers_onnx.benchmark.samples import summary
from flowers_onnx.benchmark.scenarios import Subject, scenario
from flowers_onnx.environment import machine_facts
from flowers_onnx.errors import ImageError, UsageError
from flowers_onnx.photos import display_path
from flowers_onnx.progress import Progress


def measured(options: Options, saved: Sequence[Document]) -> Document:
    """Measure all cases; raises ``UsageError`` before, if one of ``saved`` can't be compared."""
    facts = machine_facts()
    before = load.load_average()
    with photo.gather(options.paths) as photos, Progress() as progress:
        progress.show(0, "loading")
        subjects = [
            Subject.load(model, threads, photos.paths[0])
            for model, threads in itertools.product(options.models, options.threads)
        ]
        found = photos.describe(subjects[0].classifier)
        cases = [
            Case(name, model, subject, scenario(name, subject, photos.paths))
            for name in options.scenarios
            for model, subject in zip(_names(subjects), subjects, strict=True)
        ]
        for path, old in zip(options.compare, saved, strict=True):
            keys = [(case.scenario, case.subject.threads, case.model) for case in cases]
            compare.partners(old, keys, path)
        enough = Enough(options.min_runs, options.max_seconds, options.precision)
        try:
            stopped_by, share = measure(cases, enough, options.warmup, progress.show)
        except ImageError as error:
            raise UsageError(f"a photo can't be measured with any more: {error}") from error
    totals = {case.name: case.samples("total") for case in cases}
    environment: Environment = {
        **facts,
        "load_average": {"start": before, "end": load.load_average()},
        "cpu_share": share.share,
    }
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
        "photos": found,
        "stopped_by": stopped_by,
        "rows": [_row(case) for case in cases],
        "warnings": load.warnings(before, facts["cpus"] or 1, share.share, totals),
        "comparison": None,
    }


def _row(case: Case) -> Row:
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


def _names(subjects: Sequence[Subject]) -> list[str]:
    """The models' names, with the file's where two different files have one name."""
    infos = [subject.classifier.info for subject in subjects]
    return [
        info.id
        if len({other.path for other in infos if other.id == info.id}) == 1
        else f"{info.id} ({display_path(os.path.basename(info.path))})"
        for info in infos
    ]
