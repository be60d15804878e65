"""The graph: list the sources, spread the images over the workers, classify, write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.shared import Shared

from flowers_onnx.beam.options import Options
from flowers_onnx.beam.outputs import write
from flowers_onnx.classifier import Classifier
from flowers_onnx.exif import Taken, taken
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage import store_for
from flowers_onnx.storage.images import BoundedReader
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.rows import Row, make_row
from flowers_onnx.tables.schema import utc_now

#: Where the counters are found when a run has ended: two named by the rows' status, one of answers
#: that aren't known, and one of the camera raw files that were passed over.
COUNTERS, NOT_KNOWN, RAW = "flowers", "not_known", "raw"

_FAILED = "failed"

# One image on its way: its URI, and what the listing knows of it. Made of plain values, which
# Beam encodes shorter and faster than it pickles objects.
Listed = tuple[str, tuple[str | None, int | None]]


def build(pipeline: beam.Pipeline, options: Options, run_id: str) -> None:
    """Add all steps to ``pipeline``.

    Every image has a row in ``options.out``, whether it could be classified or not, as with
    ``flowers batch``; the rows with an error are in ``options.dead_letter`` too.
    """
    rows = (
        pipeline
        | "Sources" >> beam.Create(options.sources)
        | "List" >> beam.FlatMap(_list)
        # As good as a reshuffle to spread the images over all workers, and it takes out what
        # overlapping sources list twice.
        | "Once each" >> beam.GroupByKey()
        | "Classify" >> beam.ParDo(_Classify(options, run_id)).with_outputs(_FAILED, main="all")
    )
    write(rows.all, options.out, "Rows")
    write(rows[_FAILED], options.dead_letter, "Dead letter")


def _list(source: str) -> Iterator[Listed]:
    raw = Metrics.counter(COUNTERS, RAW)
    for item in store_for(source).list(source, lambda _uri: raw.inc()):
        yield item.uri, (item.version, item.size)


class _Classify(beam.DoFn):  # type: ignore[misc]
    """Images to rows, one at a time: batches gain nothing on a CPU."""

    def __init__(self, options: Options, run_id: str) -> None:
        self._options, self._run_id = options, run_id
        self._shared, self._shared_reader = Shared(), Shared()
        names = ("ok", "error", NOT_KNOWN)
        self._counts = {name: Metrics.counter(COUNTERS, name) for name in names}

    def setup(self) -> None:
        # A worker process has many of these, one a thread; they share the one model,
        # and what they hold of images at a time.
        self._classifier: Classifier = self._shared.acquire(self._load)
        self._reader: BoundedReader = self._shared_reader.acquire(BoundedReader)

    def _load(self) -> Classifier:
        options = self._options
        return Classifier(options.model, threads=1, max_pixels=options.max_pixels)

    def process(self, element: tuple[str, Any]) -> Iterator[Row | TaggedOutput]:
        uri, listings = element
        version, size = next(iter(listings))
        row = self._row(Item(uri, version, size))
        self._counts[row["status"]].inc()
        if row["known"] is False:
            self._counts[NOT_KNOWN].inc()
        yield row
        if row["status"] == "error":
            yield TaggedOutput(_FAILED, row)

    def _row(self, item: Item) -> Row:
        return self._reader.use(item, self._made)

    def _made(self, content: bytes | Unreadable, item: Item) -> Row:
        result = self._classifier.result(content, self._options.query)
        found = taken(content) if self._options.exif and isinstance(content, bytes) else Taken()
        return make_row(item, result, self._run_id, utc_now(), found)
