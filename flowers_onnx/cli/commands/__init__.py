"""The commands: each checks its arguments and returns a job; the job does the work.

Their docstrings are the help texts that users see.
"""

from __future__ import annotations

from collections.abc import Callable

from flowers_onnx.cli.command import Job
from flowers_onnx.cli.commands.batch import batch
from flowers_onnx.cli.commands.beam import beam
from flowers_onnx.cli.commands.benchmark import benchmark
from flowers_onnx.cli.commands.classify import classify
from flowers_onnx.cli.commands.info import info
from flowers_onnx.cli.commands.labels import labels
from flowers_onnx.cli.commands.report import report
from flowers_onnx.cli.commands.stream import stream

__all__ = ["COMMANDS", "Job"]

COMMANDS: dict[str, Callable[..., Job]] = {
    "classify": classify,
    "stream": stream,
    "batch": batch,
    "report": report,
    "beam": beam,
    "benchmark": benchmark,
    "labels": labels,
    "info": info,
}
