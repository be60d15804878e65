"""The flags of ``flowers benchmark``, checked before anything is measured."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass

from flowers_onnx.cli.flags import choice, count
from flowers_onnx.errors import UsageError
from flowers_onnx.machine import MAX_THREADS, allowed_cpus

SCENARIOS = ("cold", "single-stream", "offline")
FORMATS = ("table", "md", "json", "jsonl", "csv")
PLOT_SUFFIXES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, for how long, and what to do with the result.

    ``models`` holds ``None`` for the default model; ``precision`` is the half-width of the
    95 % interval as a fraction of the median; ``compare`` is empty, (old,) or (old, new).
    """

    paths: tuple[str, ...]
    scenarios: tuple[str, ...]
    threads: tuple[int, ...]
    models: tuple[str | None, ...]
    format: str
    output: str | None
    min_runs: int
    max_seconds: float
    precision: float
    warmup: int
    compare: tuple[str, ...]
    fail_above: float
    plot: str | None


def parse(
    paths: tuple[str, ...],
    *,
    scenario: str,
    threads: str | None,
    model: str | None,
    format: str,
    output: str | None,
    min_runs: str,
    max_seconds: str,
    precision: str,
    warmup: str,
    compare: str | None,
    fail_above: str,
    plot: str | None,
) -> Options:
    """The flags' texts as ``Options``; raises ``UsageError``."""
    if "-" in paths:
        raise UsageError("benchmark reads its photos again and again: give files, not -")
    files = () if compare is None else _files(compare)
    if len(files) > 2:
        raise UsageError(f"--compare needs OLD or OLD,NEW, not {len(files)} files")
    if len(files) == 2 and paths:
        raise UsageError("--compare OLD,NEW measures nothing, so it takes no PATH")
    if plot is not None:
        _check_plot(plot)
    names = [choice("scenario", name, SCENARIOS) for name in scenario.split(",")]
    counts = (
        [allowed_cpus()]
        if threads is None
        else [count("threads", text, MAX_THREADS) for text in threads.split(",")]
    )
    return Options(
        paths=paths,
        scenarios=tuple(dict.fromkeys(names)),
        threads=tuple(dict.fromkeys(counts)),
        models=(None,) if model is None else tuple(dict.fromkeys(_files(model))),
        format=choice("format", format, FORMATS),
        output=output,
        min_runs=count("min_runs", min_runs),
        max_seconds=_number("max_seconds", max_seconds),
        precision=_number("precision", precision.removesuffix("%").rstrip()) / 100,
        warmup=count("warmup", warmup, least=0),
        compare=files,
        fail_above=_number("fail_above", fail_above),
        plot=plot,
    )


def _files(text: str) -> tuple[str, ...]:
    """A list of files; a file that exists wins over a list of the same spelling."""
    return (text,) if os.path.lexists(text) else tuple(text.split(","))


def _number(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not (number > 0 and math.isfinite(number)):
        raise UsageError(f"--{flag} needs a number above 0, not {text!r}")
    return number


def _check_plot(path: str) -> None:
    if not path.lower().endswith(PLOT_SUFFIXES):
        raise UsageError(f"--plot needs a name that ends in .png or .svg, not {path!r}")
    if os.path.lexists(path):  # it might be a photo, from a pattern after --plot
        raise UsageError(f"--plot {path} exists; it won't be overwritten")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"--plot {path}: no such folder")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs the extra [plot]: pip install 'flowers-onnx[plot]'")
