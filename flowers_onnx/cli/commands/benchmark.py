"""``flowers benchmark``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.cli.flags import choice, count, form_of, listed, new_file, positive, thread_count
from flowers_onnx.errors import UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.machine import allowed_cpus

_FORMS = ("table", "md", "json", "jsonl", "csv")


def _files(_flag: str, text: str) -> tuple[str, ...]:
    """A list of files; a file that exists wins over a list of the same spelling."""
    return (text,) if os.path.lexists(text) else tuple(text.split(","))


def _compared(flag: str, text: str) -> tuple[str, ...]:
    files = _files(flag, text)
    if len(files) > 2:
        raise UsageError(f"--{flag} needs OLD or OLD,NEW, not {len(files)} files")
    return files


def _fraction(flag: str, text: str) -> float:
    return positive(flag, text.removesuffix("%").rstrip()) / 100


def _plot(flag: str, path: str) -> str:
    if not path.lower().endswith((".png", ".svg")):
        raise UsageError(f"--{flag} needs a name that ends in .png or .svg, not {path!r}")
    if os.path.lexists(path):  # it might be a photo, from a pattern after --plot
        raise UsageError(f"--{flag} {path} exists; it won't be overwritten")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"--{flag} {path}: no such folder")
    if find_spec("matplotlib") is None:
        raise missing_extra("plot", f"--{flag}")
    return path


def benchmark(
    *paths: str,
    scenario: Annotated[
        tuple[str, ...],
        Flag(
            "LIST",
            "cold: a new process for each photo; single-stream: one photo at a time; offline: "
            "all photos at once (cold,single-stream,offline)",
            listed(choice("cold", "single-stream", "offline")),
        ),
    ] = ("cold", "single-stream", "offline"),
    threads: Annotated[
        tuple[int, ...],
        Flag(
            "LIST",
            "photos in work at a time, such as 1,2; from 2 on, a photo alone takes two cores in "
            "single-stream (the CPUs that this process is allowed)",
            listed(thread_count),
        ),
    ] = (),
    model: Annotated[
        tuple[str | None, ...],
        Flag(
            "LIST",
            "ONNX files, such as a.onnx,b.onnx ($FLOWERS_ONNX_MODEL, else the\nmodel that ships)",
            _files,
        ),
    ] = (None,),
    format: Annotated[
        str | None,
        Flag(
            "F",
            "table, md, json, jsonl or csv; json keeps every sample (what the name of --out ends "
            "in, else table)",
            choice(*_FORMS),
        ),
    ] = None,
    out: Annotated[
        str | None,
        Flag("FILE", "write the result to FILE, all at once when done (standard output)", new_file),
    ] = None,
    min_runs: Annotated[int, Flag("N", "runs of each, at least (10)", count())] = 10,
    max_seconds: Annotated[
        float,
        Flag("S", "time to measure in all; a run that has begun is finished (60)", positive),
    ] = 60.0,
    precision: Annotated[
        float,
        Flag(
            "P",
            "enough when the 95 % interval of each median is within P percent\nof it (2)",
            _fraction,
        ),
    ] = 0.02,
    warmup: Annotated[int, Flag("N", "runs of each that are not counted (1)", count(least=0))] = 1,
    compare: Annotated[
        tuple[str, ...],
        Flag(
            "OLD",
            "JSON of an earlier run: print ratios, and exit with 1 if slower; OLD,NEW compares "
            "two files and measures nothing",
            _compared,
        ),
    ] = (),
    fail_above: Annotated[
        float,
        Flag("R", "slower means: a ratio above R whose interval is above 1 (1.10)", positive),
    ] = 1.10,
    plot: Annotated[
        str | None,
        Flag(
            "FILE",
            "also draw the latencies, as .png or .svg (needs the extra [plot])",
            _plot,
        ),
    ] = None,
) -> Job:
    """Measure how long classification takes here, and where the time goes.

    Usage:
      flowers benchmark [PATH...] [--FLAG VALUE ...]

    PATH is a photo, a folder or a pattern; without one, a photo is made up. All values
    of --scenario, --threads and --model are measured with each other, in turns. The run
    ends when every median is known precisely enough, or when its time is up.
    docs/benchmark.md says what each figure includes.

    Flags:
    {flags}
    """
    from flowers_onnx.benchmark.options import Options  # its help needs nothing of it

    if "-" in paths:
        raise UsageError("benchmark reads its photos again and again: give files, not -")
    if len(compare) == 2 and paths:
        raise UsageError("--compare OLD,NEW measures nothing, so it takes no PATH")
    options = Options(
        paths=paths,
        scenarios=scenario,
        threads=threads or (allowed_cpus(),),
        models=tuple(dict.fromkeys(model)),
        format=form_of(format, out, _FORMS),
        out=out,
        min_runs=min_runs,
        max_seconds=max_seconds,
        precision=precision,
        warmup=warmup,
        compare=compare,
        fail_above=fail_above,
        plot=plot,
    )

    def work() -> int:
        from flowers_onnx.benchmark.run import run

        return run(options)

    return Job(work)
