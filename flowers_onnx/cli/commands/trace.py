"""``flowers trace``."""

from __future__ import annotations

from typing import Annotated, Any

from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace.options import ExportOptions, ForgetOptions, LoadOptions

#: The flags of each action.
_FLAGS = {
    "load": ("to", "follow"),
    "forget": ("trace", "keep", "to", "dry_run"),
    "export": ("out",),
}

_Options = LoadOptions | ForgetOptions | ExportOptions


def trace(
    *words: str,
    to: Annotated[
        str | None,
        Flag("PLACE", "load: where the rows go. forget: where rows are deleted, too"),
    ] = None,
    follow: Annotated[bool, Flag("", "load: go on with what comes, until SIGTERM")] = False,
    trace: Annotated[str | None, Flag("TRACE", "forget: where the rows are")] = None,
    keep: Annotated[str | None, Flag("KEEP", "forget: where the photos are")] = None,
    dry_run: Annotated[bool, Flag("", "forget: only say what would be deleted")] = False,
    out: Annotated[str | None, Flag("DATASET", "export: the folder to make")] = None,
) -> Job:
    """Load what flowers serve has kept of its requests, forget it, or train on it.

    Usage:
      flowers trace load TRACE --to PLACE [--follow]
      flowers trace forget ID... --trace TRACE [--keep KEEP --to PLACE --dry_run]
      flowers trace export KEEP TRACE --out DATASET

    TRACE and KEEP are what flowers serve was given: folders, here or in a bucket. load
    brings each row of TRACE, once, to PLACE: bigquery://project.dataset.table, or a file
    that ends in .jsonl, .csv, .parquet or .sqlite, here or in a bucket. Any number of
    loads may run at once into a table, and one into a file. forget deletes the rows of
    request ids and photos' SHA-256, and the photos that no other request sent. export
    makes a folder of photos a label, with a list to review. docs/trace.md tells more.
    Exit code 1: a line of TRACE was left out, or there was nothing to forget or export.

    Flags:
    {flags}
    """
    action, rest = words[0] if words else "", words[1:]
    if action not in _FLAGS:
        raise UsageError("say flowers trace load, forget or export")
    given = {"to": to, "follow": follow, "trace": trace, "keep": keep, "dry_run": dry_run}
    given["out"] = out
    for name, value in given.items():
        if value and name not in _FLAGS[action]:
            raise UsageError(f"--{name} is not for trace {action}")
    options = _options(action, rest, {name: given[name] for name in _FLAGS[action]})

    def work() -> int:
        # Each loads what the others can do without.
        match options:
            case LoadOptions():
                from flowers_onnx.serve.trace import load

                return load.run(options)
            case ForgetOptions():
                from flowers_onnx.serve.trace import forget

                return forget.run(options)
        from flowers_onnx.serve.trace import export

        return export.run(options)

    return Job(work)


def _options(action: str, words: tuple[str, ...], flags: dict[str, Any]) -> _Options:
    match action, words:
        case "load", (place,):
            if not flags["to"]:
                raise UsageError("trace load needs --to: a file, gs://, s3:// or bigquery://...")
            return LoadOptions(place, **flags)
        case "forget", (_, *_):
            if not flags["trace"]:
                raise UsageError("trace forget needs --trace: where flowers serve keeps its rows")
            return ForgetOptions(ids=words, **flags)
        case "export", (keep, place):
            if not flags["out"]:
                raise UsageError("trace export needs --out: the folder to make")
            return ExportOptions(keep, place, **flags)
    needs = {"load": "one TRACE", "forget": "an ID", "export": "KEEP and TRACE"}[action]
    raise UsageError(f"trace {action} needs {needs}")
