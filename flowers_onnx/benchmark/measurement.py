"""From the options to a document: load, check, measure."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

from flowers_onnx import environment
from flowers_onnx.benchmark import compare, load, photo
from flowers_onnx.benchmark.document import document
from flowers_onnx.benchmark.options import Options
from flowers_onnx.benchmark.rounds import Case, Enough, measure
from flowers_onnx.benchmark.scenarios import Subject, scenario
from flowers_onnx.console import progress
from flowers_onnx.errors import ImageError, UsageError
from flowers_onnx.photos import display_path


def measured(options: Options, saved: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure all cases; raises ``UsageError`` before, if one of ``saved`` can't be compared."""
    facts = environment.machine_facts()
    before = load.load_average()
    with photo.gather(options.paths) as photos, progress() as show:
        show(0, "loading")
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
            stopped_by, share = measure(cases, enough, options.warmup, show)
        except ImageError as error:
            raise UsageError(f"a photo can't be measured with any more: {error}") from error
    totals = {case.name: case.samples("total") for case in cases}
    facts |= {
        "load_average": {"start": before, "end": load.load_average()},
        "cpu_share": share.share,
    }
    return document(
        options,
        cases,
        environment=facts,
        photos=found,
        stopped_by=stopped_by,
        warnings=load.warnings(before, facts["cpus"] or 1, share.share, totals),
    )


def _names(subjects: Sequence[Subject]) -> list[str]:
    """The models' names, with the file's where two different files have one name."""
    infos = [subject.classifier.info for subject in subjects]
    return [
        info.id
        if len({other.path for other in infos if other.id == info.id}) == 1
        else f"{info.id} ({display_path(os.path.basename(info.path))})"
        for info in infos
    ]
