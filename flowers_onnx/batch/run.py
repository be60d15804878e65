"""A batch from its items to its published result."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from flowers_onnx import environment
from flowers_onnx.batch.ledger import PASSING
from flowers_onnx.batch.log import Log
from flowers_onnx.batch.manifest import read_manifest
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.pipeline import Done, classified
from flowers_onnx.batch.provenance import Provenance
from flowers_onnx.batch.settings import Settings
from flowers_onnx.batch.tally import Tally, pace
from flowers_onnx.batch.watch import watched_folders
from flowers_onnx.batch.watching import Watching
from flowers_onnx.errors import FlowersError, OutputError, StoppedError
from flowers_onnx.machine import MAX_THREADS, allowed_cpus
from flowers_onnx.results import Failure
from flowers_onnx.sources import RawFiles, without_sidecars
from flowers_onnx.storage.images import images_in
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import DARWIN_CORE, local_path, suffix_of
from flowers_onnx.tables import check_place, sink_for
from flowers_onnx.tables.rows import RESULTS, make_row
from flowers_onnx.tables.schema import AnyRow, utc_now

if TYPE_CHECKING:
    from flowers_onnx.sidecar.files import Sidecars

#: Species that the summary names.
_SHOWN = 10

#: Images in a row that can't be read before a run gives up.
_MOST_UNREAD = 100


def run(options: Options) -> int:
    """Classify what isn't done yet and publish the result; returns the exit code."""
    log = Log(options.log_format, shows_progress=options.watch is None)
    try:
        check_place(options.out)  # before a library is loaded
        # A pipe is read only once.
        if options.sidecar and options.manifest and os.path.isfile(options.manifest):
            for _ in read_manifest(options.manifest, local=True):
                pass
        folders = watched_folders(options.sources) if options.watch else []
        batch = _Batch(options, log)
        settings = Settings(batch.classifier.info, options.query, exif=options.exif)
        if not options.mix_settings:
            settings.check_other_shards(options.out, options.shard)
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
                latest=options.watch is not None,
            ) as output:
                code = batch.watch(folders, output) if folders else batch.run(output)
                if code is not None:
                    return code
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
        self._started, self._started_at = time.monotonic(), utc_now()
        self._run_id = environment.new_run_id()
        self._model = {
            "id": self.classifier.info.id,
            "sha256": environment.model_sha256(self.classifier.info),
        }
        self._tally = Tally()
        self._skipped = 0
        self._raw = RawFiles()
        self._sidecars = self._make_sidecars() if options.sidecar else None
        #: Where the row of each image is, whatever came of it; not every form has all of them.
        self._place = None if suffix_of(options.out) == DARWIN_CORE else options.out

    def run(self, output: Output) -> int:
        earlier = output.unfinished + output.published.images
        if earlier:
            self._log.say(f"continues an unfinished run, of which {earlier:,} images are done")
        # A pipe is read only once.
        if self._options.manifest is None or os.path.isfile(self._options.manifest):
            self._log.expect(lambda: sum(1 for _ in self._items(RawFiles())))
        with self._telling(output):
            self._classify(self._to_do(output), output.add)
            if self._sidecars:  # before the rows are published: so a killed run does it again
                self._sidecars.write(output.rows)
            output.publish()
        self._log.close()
        self._finish(earlier, output)
        return 1 if output.published.failed or (self._sidecars and self._sidecars.failed) else 0

    def watch(self, folders: Sequence[str], output: Output) -> int | None:
        """Go on with what comes until a signal ends it; None if all has to be read once more."""
        earlier = output.unfinished + output.published.images

        def prepare() -> None:
            if self._sidecars:
                self._sidecars.write(output.unpublished)

        def tell(tally: Tally) -> None:
            record = self._provenance(earlier, output)
            self._tell_failures(tally, self._place)
            self._tell_sidecars()
            self._log.say(f"{tally}; published to {self._options.out}", counts=record.counts)
            if failure := self._failure_to_write(record):
                self._log.say(str(failure), severity="WARNING")

        watching = Watching(
            self._options, folders, output, self._log, before_publishing=prepare, on_published=tell
        )
        with self._telling(output):
            if self._sidecars:  # of what was done before
                self._sidecars.write(output.rows)
            if not watching.run(self._classify, self._raw):
                return None
        if self._raw:
            self._log.say(str(self._raw), severity="WARNING")
        self._log.say(f"ended in order: {output.published}")
        return 0

    @contextlib.contextmanager
    def _telling(self, output: Output) -> Iterator[None]:
        """Tell of a run that fails or is cut off what there is of it."""
        try:
            yield
        except BaseException as error:
            self._log.close()
            if isinstance(error, FlowersError):
                self._tell_failures(self._tally, self._options.journal)
            if output.unfinished:
                self._log.say(output.kept(), severity="WARNING")
            raise

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
        unread = 0
        for item, result, taken in those_that_count(results):
            row = make_row(item, result, self._run_id, utc_now(), taken)
            add(row)
            self._tally.note(row)
            self._log.progress(self._tally.images, self._skipped, self._tally)
            if limit is not None and self._tally.failed > limit:
                raise StoppedError(f"more than {limit} images failed: {self._tally}")
            if not isinstance(result, Failure) or result.code not in PASSING:
                unread = 0
                continue
            unread += 1
            if unread == _MOST_UNREAD and self._options.watch is None:  # an outage is no result
                raise OutputError(f"{unread} images in a row can't be read: {result.message}")

    def _to_do(self, output: Output) -> Iterator[Item]:
        for item in self._items(self._raw):
            if output.claim(item):
                yield item
            else:
                self._skipped += 1

    def _items(self, raw: RawFiles) -> Iterator[Item]:
        """The images of this shard; its camera raw files are counted in ``raw``."""
        shard = self._options.shard

        def note(uri: str) -> None:
            if shard.has(uri):
                raw.note(local_path(uri) or uri)

        for item in _listed(self._options, note):
            if shard.has(item.uri):
                yield item

    def _tell_failures(self, tally: Tally, place: str | None) -> None:
        for text, fields in tally.failures(place):
            self._log.say(text, severity="WARNING", **fields)

    def _tell_sidecars(self) -> None:
        for text in self._sidecars.failures() if self._sidecars else ():
            self._log.say(text, severity="WARNING")

    def _make_sidecars(self) -> Sidecars:
        from flowers_onnx.sidecar.files import Sidecars

        return Sidecars(self.classifier.info, self._options.query)

    def _provenance(self, earlier: int, output: Output) -> Provenance:
        tally = output.published
        counts = {
            "images": tally.images,
            "ok": tally.ok,
            "not_known": tally.not_known,
            "error": tally.failed,
            "of_an_earlier_run": earlier,
            "skipped_as_done": output.before,
            **(self._sidecars.counts if self._sidecars else {}),
        }
        return Provenance(
            run_id=self._run_id,
            started_at=self._started_at,
            ended_at=utc_now(),
            seconds=round(time.monotonic() - self._started, 3),
            arguments=self._options.arguments(),
            result=self._options.out,
            counts=counts,
            labels=dict(tally.labels.most_common()),
            errors=dict(tally.errors.most_common()),
            model=self._model,
            versions=environment.run_versions(),
            machine=environment.run_host(),
            user=environment.user(),
        )

    def _failure_to_write(self, record: Provenance) -> FlowersError | None:
        try:
            record.write(self._options.record)
        except FlowersError as error:  # the results themselves are where they should be
            return error
        return None

    def _finish(self, earlier: int, output: Output) -> None:
        options, tally = self._options, output.published
        record = self._provenance(earlier, output)
        failure = None
        if tally.images or not self._skipped:  # else the last one still holds
            failure = self._failure_to_write(record)
        if self._raw:
            self._log.say(str(self._raw), severity="WARNING")
        self._tell_failures(tally, self._place)
        if self._place is None and (left := tally.images - tally.known):
            self._log.say(
                f"failed or not known, and so without a row in {options.out}: {left:,}; the next "
                "run looks at them again"
            )
        self._tell_sidecars()
        self._log.say(
            self._summary(tally, output.before, record.seconds),
            counts=record.counts,
            errors=record.errors,
            labels=record.labels,
        )
        if failure:
            raise OutputError(f"{failure}; the results are in {options.out}") from failure

    def _summary(self, tally: Tally, before: int, seconds: float) -> str:
        text = self._told(tally, before, seconds)
        return f"{text}; {self._sidecars}" if self._sidecars else text

    def _told(self, tally: Tally, before: int, seconds: float) -> str:
        if not tally.images:
            if not before:
                return "nothing to do: no images"
            return (
                f"nothing to do: {before:,} images were done before and are in "
                f"{self._options.out}; another --out does them again"
            )
        # Of this process alone, as its seconds are; the counts are of the whole run.
        speed = pace(self._tally.images, seconds)
        parts = [
            str(tally),
            f"done before: {before:,}" if before else "",
            ", ".join(filter(None, (f"{seconds:.{seconds < 10:d}f} s", speed))),
        ]
        return "; ".join(filter(None, parts)) + tally.species(_SHOWN)


def _listed(options: Options, on_raw: Callable[[str], None]) -> Iterator[Item]:
    """All images of all shards; raises ``UsageError`` for a source that has none."""
    # What is wrong with the last one is told before the first is read.
    listings = [images_in(source, on_raw) for source in without_sidecars(options.sources)]
    if options.manifest is not None:
        yield from read_manifest(options.manifest)
    yield from chain.from_iterable(listings)
