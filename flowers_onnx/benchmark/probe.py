"""``flowers classify PHOTO`` in a new process, with the time of each step.

``python -m flowers_onnx.benchmark.probe WORD...`` runs the real command line and adds one line
to its standard output: a JSON object of stamps (``time.perf_counter``, in seconds, whose zero
all processes of a system share), the photo's ``Timing`` in ms and the peak memory in MiB.
"""

from time import perf_counter

STARTED = perf_counter()

# ruff: noqa: E402  the first stamp comes before any import that takes time
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, NoReturn


def main(words: list[str]) -> NoReturn:
    """Run ``words`` as the command line would, report, and leave as it does."""
    # All that the command imports while it runs, so that imports are a step of their own.
    from flowers_onnx import arguments, classifier, cli, fire_adapter, sources, writers

    del arguments, sources, writers
    from flowers_onnx.results import Prediction, Result

    fire_adapter.import_fire()
    stamps: dict[str, Any] = {"started": STARTED, "imported": perf_counter()}

    class Traced(classifier.Classifier):
        """The classifier, noting when it was loaded and where its photo's time went."""

        def __init__(self, *args: Any, **options: Any) -> None:
            stamps["loading"] = perf_counter()
            super().__init__(*args, **options)
            stamps["loaded"] = perf_counter()

        def classify_many(self, sources: Iterable[Any], **options: Any) -> Iterator[Result]:
            for result in super().classify_many(sources, **options):
                if isinstance(result, Prediction):
                    stamps["timing"] = asdict(result.timing)
                yield result

    classifier.Classifier = Traced  # type: ignore[misc]
    code = cli.main(words)
    stamps["returned"] = perf_counter()
    if code == 0:
        from flowers_onnx.benchmark.memory import peak_rss

        stamps["peak_rss"] = peak_rss()
        stamps["leaving"] = perf_counter()
        print(json.dumps(stamps), flush=True)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
