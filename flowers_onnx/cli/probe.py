"""``flowers classify PHOTO`` in a new process, with the time of each step.

``python -m flowers_onnx.cli.probe WORD...`` runs the real command line and adds one line
to its standard output: a JSON object of ``Stamps``, in seconds of ``time.perf_counter``, whose
zero all processes of a system share.
"""

from time import perf_counter

STARTED = perf_counter()

# ruff: noqa: E402  the first stamp comes before any import that takes time
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from flowers_onnx.benchmark.scenarios import Stamps


def main(words: list[str]) -> NoReturn:
    """Run ``words`` as the command line would, report, and leave as it does."""
    from flowers_onnx.cli import fire_adapter
    from flowers_onnx.cli.command import Job
    from flowers_onnx.cli.main import main as run

    stamps: Stamps = {"started": STARTED}
    route = fire_adapter.route

    def traced(argv: tuple[str, ...]) -> Job:
        job = route(argv)

        def work() -> int:
            stamps["accepted"] = perf_counter()
            _trace_classifier(stamps)
            return job.work()

        return replace(job, work=work)

    fire_adapter.route = traced
    code = run(words)
    stamps["returned"] = perf_counter()
    if code == 0:
        import json  # the command does without it until it loads the model

        from flowers_onnx.machine import peak_rss

        stamps["peak_rss"] = peak_rss()
        stamps["leaving"] = perf_counter()
        print(json.dumps(stamps, allow_nan=False), flush=True)
    os._exit(code)


def _trace_classifier(stamps: "Stamps") -> None:
    """Let the classifier that the command will load note when, and where a photo's time went."""
    from flowers_onnx import classifier
    from flowers_onnx.results import Prediction, Result

    class Traced(classifier.Classifier):
        """The classifier with stamps."""

        def __init__(self, *args: Any, **options: Any) -> None:
            stamps["loading"] = perf_counter()
            super().__init__(*args, **options)
            stamps["loaded"] = perf_counter()

        def results(self, sources: Iterable[Any], *query: Any) -> Iterator[Result]:
            for result in super().results(sources, *query):
                if isinstance(result, Prediction):
                    stamps["timing"] = asdict(result.timing)
                yield result

    classifier.Classifier = Traced  # type: ignore[misc]


if __name__ == "__main__":
    main(sys.argv[1:])
