"""A batch from its items to its published result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from flowers_onnx.batch.ledger import PASSING
from flowers_onnx.batch.log import Log
from flowers_onnx.batch.manifest import read_manifest
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.pipeline import Done, classified
from flowers_onnx.batch.settings import Settings
from flowers_onnx.batch.stop import Stop
from flowers_onnx.batch.telling import Telling
from flowers_onnx.batch.watch import watched_folders
from flowers_onnx.batch.watching import Watching
from flowers_onnx.errors import FlowersError, OutputError, StoppedError
from flowers_onnx.machine import MAX_THREADS, allowed_cpus
from flowers_onnx.results import Failure
from flowers_onnx.sources import RawFiles, without_sidecars
from flowers_onnx.storage.images import images_in
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import local_path
from flowers_onnx.tables import check_place, sink_for
from flowers_onnx.tables.rows import RESULTS, make_row
from flowers_onnx.tables.schema import AnyRow, utc_now

if TYPE_CHECKING:
    from flowers_onnx.sidecar.files import Sidecars

#: Images in a row that can't be read before a run gives up.
_MOST_UNREAD = 100


def run(options: Options) -> int:
    """Classify what isn't done yet and publish the result; returns the exit code."""
    log = Log(options.log_format, shows_progress=options.settle is None)
    try:
        check_place(options.out)  # before a library is loaded
        # A pipe is read only once.
        if options.sidecar and options.manifest and os.path.isfile(options.manifest):
            for _ in read_manifest(options.manifest, local=True):
                pass
        folders = watched_folders(options.sources) if options.settle is not None else []
        batch = _Batch(options, log)
        settings = Settings(batch.classifier.info, options.query, exif=options.exif)
        if not options.mix_settings:
            settings.check_other_shards(options.out, options.shard)
        stop = Stop()
        with contextlib.ExitStack() as signals:
            if folders:
                signals.enter_context(stop.on_signals())
            while True:
                with Output(
                    sink_for(options.out, RESULTS, batch.classifier.info.labels),
                    options.journal,
                    by_version=options.manifest is None,
                    retry_errors=options.retry_errors,
                    shard=options.shard,
                    settings=settings,
                    mix_settings=options.mix_settings,
                    out=options.out,
                    record=options.record,
                    latest=options.settle is not None,
                ) as output:
                    if options.settle is None:
                        return batch.run(output)
                    if batch.watch(folders, options.settle, output, stop):
                        return 0
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
        from flowers_onnx.classifier import Classifier

        self._options, self._log = options, log
        # One more than there are CPUs: while a worker waits for the interpreter, which it shares
        # with those that fetch, another computes. It is worth 5 % of the images a second.
        threads = options.threads or min(allowed_cpus() + 1, MAX_THREADS)
        self.classifier = Classifier(options.model, threads=threads, max_pixels=options.max_pixels)
        self._sidecars = self._make_sidecars() if options.sidecar else None
        self._telling = Telling(options, log, self.classifier.info, self._sidecars)

    def run(self, output: Output) -> int:
        telling = self._telling
        earlier = output.unfinished + output.published.images
        if earlier:
            self._log.say(f"continues an unfinished run, of which {earlier:,} images are done")
        # A pipe is read only once.
        if self._options.manifest is None or os.path.isfile(self._options.manifest):
            self._log.expect(lambda: sum(1 for _ in self._items(RawFiles())))
        with telling.of_failure(output):
            self._classify(self._to_do(output), output.add)
            if self._sidecars:  # before the rows are published: so a killed run does it again
                self._sidecars.write(output.rows)
            output.publish()
        self._log.close()
        telling.finished(earlier, output)
        return 1 if output.published.failed or (self._sidecars and self._sidecars.failed) else 0

    def watch(self, folders: Sequence[str], settle: float, output: Output, stop: Stop) -> bool:
        """Go on with what comes until a signal ends it; False if all is to be read once more."""
        telling, sidecars = self._telling, self._sidecars
        earlier = output.unfinished + output.published.images

        def begin() -> None:
            if sidecars:  # of what was done before; the rest of them the next time
                sidecars.write(lambda: takewhile(lambda _row: not stop.asked, output.rows()))
                telling.tell_sidecars()

        def prepare() -> None:
            if sidecars:
                sidecars.write(output.unpublished)

        watching = Watching(
            self._options,
            folders,
            output,
            self._log,
            stop,
            settle=settle,
            at_start=begin,
            before_publishing=prepare,
            on_published=lambda tally: telling.published(tally, earlier, output),
        )
        with telling.of_failure(output):
            if not watching.run(self._classify, telling.raw):
                return False
        telling.ended(output)
        return True

    def _classify(
        self,
        items: Iterator[Item],
        add: Callable[[AnyRow], None],
        those_that_count: Callable[[Iterator[Done]], Iterator[Done]] = iter,
    ) -> None:
        limit = self._options.max_errors
        results = classified(
            items,
            self.classifier,
            self._options.query,
            self._options.fetch,
            exif=self._options.exif,
        )
        unread, tally = 0, self._telling.tally
        for item, result, taken in those_that_count(results):
            row = make_row(item, result, self._telling.run_id, utc_now(), taken)
            add(row)
            tally.note(row)
            self._log.progress(tally.images, self._telling.skipped, tally)
            if limit is not None and tally.failed > limit:
                raise StoppedError(f"more than {limit} images failed: {tally}")
            if not isinstance(result, Failure) or result.code not in PASSING:
                unread = 0
                continue
            unread += 1
            if unread == _MOST_UNREAD and self._options.settle is None:  # an outage is no result
                raise OutputError(f"{unread} images in a row can't be read: {result.message}")

    def _to_do(self, output: Output) -> Iterator[Item]:
        for item in self._items(self._telling.raw):
            if output.claim(item):
                yield item
            else:
                self._telling.skipped += 1

    def _items(self, raw: RawFiles) -> Iterator[Item]:
        """The images of this shard; its camera raw files are counted in ``raw``."""
        shard = self._options.shard

        def note(uri: str) -> None:
            if shard.has(uri):
                raw.note(local_path(uri) or uri)

        for item in _listed(self._options, note):
            if shard.has(item.uri):
                yield item

    def _make_sidecars(self) -> Sidecars:
        from flowers_onnx.sidecar.files import Sidecars

        return Sidecars(self.classifier.info, self._options.query)


def _listed(options: Options, on_raw: Callable[[str], None]) -> Iterator[Item]:
    """All images of all shards; raises ``UsageError`` for a source that has none."""
    # What is wrong with the last one is told before the first is read.
    listings = [images_in(source, on_raw) for source in without_sidecars(options.sources)]
    if options.manifest is not None:
        yield from read_manifest(options.manifest)
    yield from chain.from_iterable(listings)
