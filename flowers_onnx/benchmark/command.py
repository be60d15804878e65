"""``flowers benchmark`` from its options to its exit code."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

from flowers_onnx.benchmark import compare, environment, photo
from flowers_onnx.benchmark.document import document
from flowers_onnx.benchmark.options import Options
from flowers_onnx.benchmark.output import write
from flowers_onnx.benchmark.progress import progress
from flowers_onnx.benchmark.rounds import Case, Enough, measure
from flowers_onnx.benchmark.scenarios import Subject, scenario
from flowers_onnx.errors import UsageError
from flowers_onnx.talk import say
from flowers_onnx.writers import open_output


def run(options: Options) -> int:
    """Measure, compare, print; 1 if something is slower than it may be."""
    saved = [_saved(path) for path in options.compare]
    with open_output(options.output) as stream:
        result = saved[1] if len(saved) == 2 else _measure(options, saved)
        slower = bool(saved) and compare.compare(
            result, saved[0], options.compare[0], options.fail_above
        )
        for warning in result["warnings"]:
            say(f"flowers: warning: {warning}")
        for difference in (result["comparison"] or {}).get("differences", ()):
            say(f"flowers: warning: not the same as in {options.compare[0]}: {difference}")
        write(options.format, result, stream)
    if options.plot:
        from flowers_onnx.benchmark.plot import draw

        draw(result, options.plot)
    return 1 if slower else 0


def _saved(path: str) -> dict[str, Any]:
    """An earlier result, known to be whole: one that can't be shown is broken."""
    result = compare.load(path)
    try:
        write("table", result, io.StringIO())
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UsageError(f"{path} is broken: {error!r}") from error
    return result


def _measure(options: Options, saved: list[dict[str, Any]]) -> dict[str, Any]:
    facts = environment.describe()
    load = environment.load_average()
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
            compare.check_overlap(old, path, keys)
        enough = Enough(options.min_runs, options.max_seconds, options.precision)
        stopped_by, share = measure(cases, enough, options.warmup, show)
    totals = {case.name: case.samples("total") for case in cases}
    facts |= {
        "load_average": {"start": load, "end": environment.load_average()},
        "cpu_share": share.share,
    }
    return document(
        options,
        cases,
        environment=facts,
        photos=found,
        stopped_by=stopped_by,
        warnings=environment.warnings(load, facts["cpus"] or 1, share.share, totals),
    )


def _names(subjects: Sequence[Subject]) -> list[str]:
    """The models' names, with the file's where two different files have one name."""
    infos = [subject.classifier.info for subject in subjects]
    return [
        info.id
        if len({other.path for other in infos if other.id == info.id}) == 1
        else f"{info.id} ({info.path.name})"
        for info in infos
    ]
