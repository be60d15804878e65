"""A batch from its items to its published result."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict

from flowers_onnx.batch import provenance
from flowers_onnx.batch.item import Item
from flowers_onnx.batch.log import Log
from flowers_onnx.batch.manifest import read_manifest
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.parallel import in_parallel
from flowers_onnx.batch.rows import Row, make_row
from flowers_onnx.batch.sinks import sink_for
from flowers_onnx.batch.storage import store_for
from flowers_onnx.batch.tally import Tally
from flowers_onnx.classifier import Classifier
from flowers_onnx.cpus import MAX_THREADS, allowed_cpus
from flowers_onnx.errors import FlowersError, ImageError, UsageError
from flowers_onnx.photos import MAX_BYTES
from flowers_onnx.sources import Unreadable

#: Species that the summary names.
_SHOWN = 10


def run(options: Options) -> int:
    """Classify what isn't done yet and publish the result; returns the exit code."""
    log = Log(options.log_format)
    try:
        batch = _Batch(options, log)
        with Output(
            sink_for(options.out),
            options.journal,
            by_version=options.manifest is None,
            retry_errors=options.retry_errors,
            shard=options.shard,
        ) as output:
            return batch.run(output)
    except FlowersError as error:
        if options.log_format != "json":
            raise
        log.say(str(error), severity="ERROR")
        return error.exit_code
    finally:
        log.close()


class _Batch:
    """One run, with what it counts on the way."""

    def __init__(self, options: Options, log: Log) -> None:
        self._options, self._log = options, log
        # One more than there are CPUs: while a worker waits for the interpreter, which it shares
        # with those that fetch, another computes. It is worth 5 % of the images a second.
        threads = options.threads or min(allowed_cpus() + 1, MAX_THREADS)
        self._classifier = Classifier(options.model, threads=threads, max_pixels=options.max_pixels)
        self._computing = threading.Semaphore(threads)
        self._started, self._started_at = time.monotonic(), provenance.utc_now()
        self._run_id = provenance.new_run_id()
        self._tally = Tally()
        self._done = self._skipped = 0

    def run(self, output: Output) -> int:
        if earlier := output.unfinished:
            self._log.say(f"continues an unfinished run, of which {earlier:,} images are done")
        for row in output.unfinished_rows():
            self._tally.note(row)
        self._log.expect(lambda: sum(1 for _ in self._items()))
        try:
            self._classify(output)
            output.publish()
        except BaseException:
            self._log.close()
            if output.unfinished:
                self._log.say(
                    f"{output.unfinished:,} images are done and kept in {self._options.journal}; "
                    "the same command goes on from there",
                    severity="WARNING",
                )
            raise
        self._log.close()
        self._finish(earlier)
        return 1 if self._tally.failed else 0

    def _classify(self, output: Output) -> None:
        limit = self._options.max_errors
        at_a_time = max(self._options.fetch, self._classifier.threads)
        failed = 0
        for row in in_parallel(self._to_do(output), self._row, at_a_time):
            output.add(row)
            self._tally.note(row)
            self._done += 1
            failed += row["status"] == "error"
            self._log.progress(self._done, self._skipped, str(self._tally))
            if limit is not None and failed > limit:
                raise FlowersError(f"more than {limit} images failed: {self._tally}")

    def _row(self, item: Item) -> Row:
        """From an object to its row; many wait for their bytes, few compute."""
        content: bytes | Unreadable
        try:
            content, item = store_for(item.uri).read(item, MAX_BYTES)
        except ImageError as error:
            content = Unreadable(item.uri, error)
        with self._computing:
            (result,) = self._classifier.classify_many(
                [content], top_k=self._options.top_k, lang=self._options.lang
            )
        return make_row(item, result, self._run_id, provenance.utc_now())

    def _to_do(self, output: Output) -> Iterator[Item]:
        for item in self._items():
            if output.claim(item):
                yield item
            else:
                self._skipped += 1

    def _items(self) -> Iterator[Item]:
        for item in _listed(self._options):
            if self._options.shard.has(item.uri):
                yield item

    def _finish(self, earlier: int) -> None:
        options, tally = self._options, self._tally
        seconds = time.monotonic() - self._started
        counts = {
            "images": tally.ok + tally.failed,
            "ok": tally.ok,
            "error": tally.failed,
            "of_an_earlier_run": earlier,
            "skipped_as_done": self._skipped,
        }
        record = provenance.Provenance(
            run_id=self._run_id,
            started_at=self._started_at,
            ended_at=provenance.utc_now(),
            seconds=round(seconds, 3),
            arguments=asdict(options),
            result=options.out,
            counts=counts,
            labels=dict(tally.labels.most_common()),
            errors=dict(tally.errors.most_common()),
            model=provenance.model_facts(self._classifier.info),
            versions=provenance.versions(),
            machine=provenance.machine(),
            user=provenance.user(),
        )
        if self._done or earlier or not self._skipped:  # else the last one still holds
            record.write(options.record)
        rate = self._done / max(seconds, 1e-9)
        self._log.say(
            f"{tally}; done before: {self._skipped:,}; {seconds:.0f} s, {rate:.0f} images a second"
            + tally.species(_SHOWN),
            counts=counts,
            errors=record.errors,
            labels=record.labels,
        )


def _listed(options: Options) -> Iterator[Item]:
    """All images of all shards; raises ``UsageError`` for a source that has none."""
    if options.manifest is not None:
        yield from read_manifest(options.manifest)
    for source in options.sources:
        empty = True
        for item in store_for(source).list(source):
            empty = False
            yield item
        if empty:
            raise UsageError(f"no images in {source}")
