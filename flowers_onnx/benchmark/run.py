"""``flowers benchmark`` from its options to its exit code."""

from __future__ import annotations

from flowers_onnx.benchmark import compare
from flowers_onnx.benchmark.document import Document
from flowers_onnx.benchmark.options import Options
from flowers_onnx.benchmark.output import write
from flowers_onnx.console import say
from flowers_onnx.writers import open_output


def run(options: Options) -> int:
    """Measure, compare, print; 1 if something is slower than it may be."""
    saved = [compare.load(path) for path in options.compare]
    with open_output(options.out) as stream:
        result = saved[1] if len(saved) == 2 else _measured(options, saved)
        slower = bool(saved) and compare.compare(
            result, saved[0], options.compare[0], options.fail_above
        )
        if not (options.format in ("table", "md") and stream.isatty()):  # where they are seen
            _warn(result)
        write(options.format, result, stream)
    if options.plot:
        from flowers_onnx.benchmark.plot import draw

        draw(result, options.plot)
    return 1 if slower else 0


def _warn(result: Document) -> None:
    for warning in result["warnings"]:
        say(f"flowers: warning: {warning}")
    if result["comparison"]:
        for caveat in result["comparison"]["caveats"]:
            say(f"flowers: compare with care: {caveat}")


def _measured(options: Options, saved: list[Document]) -> Document:
    from flowers_onnx.benchmark.measurement import measured  # loads all that classifies

    return measured(options, saved)
