"""Running the pipeline, on whatever runner, and saying how it went."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.runner import PipelineResult, PipelineState

from flowers_onnx.beam.options import Files, Options, Table
from flowers_onnx.beam.pipeline import COUNTERS, NOT_KNOWN, RAW, build
from flowers_onnx.console import say
from flowers_onnx.environment import new_run_id
from flowers_onnx.errors import FlowersError, OutputError, UsageError
from flowers_onnx.figures import counted
from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.sources import RawFiles, without_sidecars
from flowers_onnx.storage.images import images_in
from flowers_onnx.storage.uris import scheme_of

#: Beam's own runner in this process. What Beam calls DirectRunner may be another by now, which
#: downloads a program first.
DEFAULT_RUNNER = "FnApiRunner"

#: As Beam compares them: in lower case, "runner" left out.
_LOCAL_RUNNERS = {"fnapi", "direct", "bundlebaseddirect", "switchingdirect", "prism"}


def run(options: Options) -> int:
    """Run the pipeline to its end; returns 1 if any image failed.

    Raises ``UsageError``, ``ModelError`` before anything runs, and ``OutputError`` if the
    pipeline fails.
    """
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="beam: %(message)s")
    options = replace(options, sources=tuple(without_sidecars(options.sources)))
    runner_options = pipeline_options(options.runner_options)
    _check(options, runner_options)
    run_id = new_run_id()
    try:
        pipeline = beam.Pipeline(options=runner_options)
    except ValueError as error:
        raise UsageError(f"Beam: {_last_line(error)}") from error
    try:
        build(pipeline, options, run_id)
        result = pipeline.run()
        _wait(result)
    except FlowersError:
        raise
    except Exception as error:
        raise OutputError(f"the pipeline failed: {_last_line(error)}") from error
    counts = _counts(result)
    if counts.get(RAW):
        say(f"flowers: {RawFiles(counts[RAW])}")
    if counts:
        done = counted(counts.get("ok", 0), counts.get(NOT_KNOWN, 0))
        say(f"flowers: {done}, {counts.get('error', 0):,} failed")
    return 1 if counts.get("error") else 0


def pipeline_options(words: Sequence[str]) -> PipelineOptions:
    """Beam's options from ``words``; raises ``UsageError`` for what Beam doesn't understand.

    Beam itself would leave it out, and start a job with a typing error in ``--max_num_workers``.
    """
    unknown: list[str] = []
    talk = io.StringIO()
    try:
        with contextlib.redirect_stderr(talk):
            options = PipelineOptions(words)
            # The callback is given the parser when it knows the options of all runners.
            options.get_all_options(
                add_extra_args_fn=lambda parser: unknown.extend(parser.parse_known_args(words)[1])
            )
    except SystemExit as stop:  # the way of argparse
        if not stop.code:
            raise
        raise UsageError(f"Beam: {talk.getvalue().strip().rpartition('error: ')[2]}") from stop
    if unknown:
        raise UsageError(f"Beam has no option {unknown[0]}")
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = DEFAULT_RUNNER
    return options


def _check(options: Options, runner_options: PipelineOptions) -> None:
    """Find out now what would otherwise fail minutes later, on some worker."""
    runner = runner_options.view_as(StandardOptions).runner.lower().removesuffix("runner")
    if runner == "dataflow":
        _refuse_local_places(options)
    tables = [t for t in (options.out, options.dead_letter) if isinstance(t, Table)]
    if tables and not runner_options.view_as(GoogleCloudOptions).temp_location:
        raise UsageError("BigQuery loads from files: put --temp_location gs://... behind --")
    if runner in _LOCAL_RUNNERS:
        read_info(find_model(options.model))
    for source in options.sources:
        images_in(source)
    for target in (options.out, options.dead_letter):
        if isinstance(target, Files):
            _refuse_existing(target)


def _refuse_local_places(options: Options) -> None:
    places = [*options.sources]
    places += [t.prefix for t in (options.out, options.dead_letter) if isinstance(t, Files)]
    for place in places:
        if scheme_of(place) == "file":
            raise UsageError(f"Dataflow's workers can't see {place}; give gs://...")


def _refuse_existing(files: Files) -> None:
    found = _first_existing(files)
    if found is not None:
        raise UsageError(f"there are results already: {found}; give another place, or remove them")


def _first_existing(files: Files) -> str | None:
    if scheme_of(files.prefix) == "file":
        # Beam finds nothing by a path without a folder, and looks through all that are below one.
        folder = os.path.dirname(files.prefix)
        try:
            paths = [os.path.join(folder, name) for name in os.listdir(folder or os.curdir)]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"can't write {files.prefix}: {error.strerror}") from error
        return next(filter(files.has, paths), None)
    try:
        (found,) = FileSystems.match([files.pattern], limits=[1])
    except (ValueError, OSError) as error:  # BeamIOError is one
        raise UsageError(f"can't write {files.prefix}: {_first_line(error)}") from error
    return found.metadata_list[0].path if found.metadata_list else None


def _wait(result: PipelineResult) -> None:
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        if hasattr(result, "job_id"):
            say(f"flowers: the job goes on: {result.job_id()}")
        raise
    if result.state in {PipelineState.FAILED, PipelineState.CANCELLED}:
        raise OutputError(f"the pipeline ended as {result.state}")


def _counts(result: PipelineResult) -> dict[str, int]:
    """Images by status; empty where nothing was counted, as when a template was made."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    except (NotImplementedError, ValueError):
        return {}
    return {counter.key.metric.name: counter.result for counter in found}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _last_line(error: BaseException) -> str:
    """What a worker tells is a traceback."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
