"""The commands: each takes checked values and returns a job; the job does the work.

Each is a function in the module of its name, and its docstring is the help text that users see.
A module is imported when its command is asked for: one doesn't wait for the others.
"""

from __future__ import annotations

from flowers_onnx.cli.command import Command

#: All commands, and what each does in a line: the first one of its help.
COMMANDS = {
    "classify": "Name the flower in each photo",
    "stream": "Answer requests of another program, on standard input and output",
    "batch": (
        "Classify a bucket or a folder into a file or a table, and continue where a run stopped"
    ),
    "report": "Make one HTML page, with the photos in it, from the results of a run",
    "explain": "Show which parts of a photo speak for its name",
    "similar": "Find the photos of an index that look most like others",
    "compare": "Compare two species, or two photos, side by side",
    "serve": "Answer over HTTP: an endpoint for programs and a page for people",
    "keys": "Make, list, revoke and rotate the keys that flowers serve lets in",
    "trace": "Load what flowers serve has kept of its requests, forget it, or train on it",
    "beam": "Classify images with Apache Beam: here, or on Dataflow, Flink or Spark",
    "benchmark": "Measure how long classification takes here, and where the time goes",
    "labels": "List the classes that the model knows",
    "info": "Show the model, its metadata, the environment and the threads in use",
}


def find(name: str) -> Command:  # noqa: C901, PLR0911, PLR0912  a return a command
    """The command of a name in ``COMMANDS``."""
    # Statements, one by one: what freezes a program follows no import by name.
    match name:
        case "classify":
            from flowers_onnx.cli.commands.classify import classify

            return classify
        case "stream":
            from flowers_onnx.cli.commands.stream import stream

            return stream
        case "batch":
            from flowers_onnx.cli.commands.batch import batch

            return batch
        case "report":
            from flowers_onnx.cli.commands.report import report

            return report
        case "explain":
            from flowers_onnx.cli.commands.explain import explain

            return explain
        case "similar":
            from flowers_onnx.cli.commands.similar import similar

            return similar
        case "compare":
            from flowers_onnx.cli.commands.compare import compare

            return compare
        case "serve":
            from flowers_onnx.cli.commands.serve import serve

            return serve
        case "keys":
            from flowers_onnx.cli.commands.keys import keys

            return keys
        case "trace":
            from flowers_onnx.cli.commands.trace import trace

            return trace
        case "beam":
            from flowers_onnx.cli.commands.beam import beam

            return beam
        case "benchmark":
            from flowers_onnx.cli.commands.benchmark import benchmark

            return benchmark
        case "labels":
            from flowers_onnx.cli.commands.labels import labels

            return labels
        case "info":
            from flowers_onnx.cli.commands.info import info

            return info
    raise ValueError(f"no command {name!r}")
