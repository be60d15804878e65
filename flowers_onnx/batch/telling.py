"""What a run says of itself: lines on standard error, and its provenance record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowers_onnx import environment
from flowers_onnx.batch.log import Log
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.provenance import Provenance
from flowers_onnx.batch.tally import Tally, pace
from flowers_onnx.errors import FlowersError, OutputError
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.sources import RawFiles
from flowers_onnx.storage.uris import DARWIN_CORE, suffix_of
from flowers_onnx.tables.schema import utc_now

if TYPE_CHECKING:
    from flowers_onnx.sidecar.files import Sidecars

#: Species that the summary names.
_SHOWN = 10


class Telling:
    """Counts what this process does, and tells of it."""

    def __init__(
        self, options: Options, log: Log, info: ModelInfo, sidecars: Sidecars | None
    ) -> None:
        self._options, self._log, self._sidecars = options, log, sidecars
        self._started, self._started_at = time.monotonic(), utc_now()
        self.run_id = environment.new_run_id()
        self._model = {"id": info.id, "sha256": environment.model_sha256(info)}
        self.tally = Tally()
        #: Images that are done already.
        self.skipped = 0
        self.raw = RawFiles()
        self._sidecars_told: dict[str, int] = {}
        #: Where the row of each image is, whatever came of it; not every form has all of them.
        self._place = None if suffix_of(options.out) == DARWIN_CORE else options.out

    @contextlib.contextmanager
    def of_failure(self, output: Output) -> Iterator[None]:
        """Tell of a run that fails or is cut off what there is of it."""
        try:
            yield
        except BaseException as error:
            self._log.close()
            if isinstance(error, FlowersError):
                self._tell_failures(self.tally, self._options.journal)
            if output.unfinished:
                self._log.say(output.kept(), severity="WARNING")
            raise

    def tell_sidecars(self) -> None:
        """Of those since the last time, if there are any."""
        if text := self._new_sidecars():
            self._log.say(text)
        self._tell_sidecar_failures()

    def published(self, tally: Tally, earlier: int, output: Output) -> None:
        """Tell of a burst of a watched folder, and renew the record."""
        record = self._provenance(earlier, output)
        self._tell_failures(tally, self._place)
        self._tell_sidecar_failures()
        told = (str(tally), self._where(tally), self._new_sidecars())
        self._log.say("; ".join(filter(None, told)), counts=record.counts)
        if failure := self._failure_to_write(record):
            self._log.say(str(failure), severity="WARNING")

    def ended(self, output: Output) -> None:
        """Tell of the end of a watch."""
        if self.raw:
            self._log.say(str(self.raw), severity="WARNING")
        self._tell_rowless(output.published)
        self._log.say(f"ended in order; done in all: {self._with_sidecars(str(output.published))}")

    def finished(self, earlier: int, output: Output) -> None:
        """Tell of a run that is published; raises ``OutputError`` if its record can't be."""
        options, tally = self._options, output.published
        record = self._provenance(earlier, output)
        failure = None
        if tally.images or not self.skipped:  # else the last one still holds
            failure = self._failure_to_write(record)
        if self.raw:
            self._log.say(str(self.raw), severity="WARNING")
        self._tell_failures(tally, self._place)
        self._tell_rowless(tally)
        self._tell_sidecar_failures()
        self._log.say(
            self._with_sidecars(self._summary(tally, output.before, record.seconds)),
            counts=record.counts,
            errors=record.errors,
            labels=record.labels,
        )
        if failure:
            raise OutputError(f"{failure}; the results are in {options.out}") from failure

    def _tell_failures(self, tally: Tally, place: str | None) -> None:
        for text, fields in tally.failures(place):
            self._log.say(text, severity="WARNING", **fields)

    def _tell_rowless(self, tally: Tally) -> None:
        if self._place is None and (left := tally.images - tally.known):
            self._log.say(
                f"failed or not known, and so without a row in {self._options.out}: {left:,}; the "
                "next run looks at them again"
            )

    def _tell_sidecar_failures(self) -> None:
        for text in self._sidecars.failures() if self._sidecars else ():
            self._log.say(text, severity="WARNING")

    def _new_sidecars(self) -> str:
        """What became of sidecars since the last time, or nothing."""
        if not self._sidecars:
            return ""
        before, self._sidecars_told = self._sidecars_told, self._sidecars.counts
        new = {name: count - before.get(name, 0) for name, count in self._sidecars_told.items()}
        return self._sidecars.told(new) if any(new.values()) else ""

    def _where(self, tally: Tally) -> str:
        if self._place is None and tally.known < tally.images:
            rows = f"{tally.known:,} row{'s' * (tally.known != 1)}" if tally.known else "no row"
            return f"{rows} of them published to {self._options.out}"
        return f"published to {self._options.out}"

    def _with_sidecars(self, text: str) -> str:
        return f"{text}; {self._sidecars}" if self._sidecars else text

    def _summary(self, tally: Tally, before: int, seconds: float) -> str:
        if not tally.images:
            if not before:
                return "nothing to do: no images"
            return (
                f"nothing to do: {before:,} images were done before and are in "
                f"{self._options.out}; another --out does them again"
            )
        # Of this process alone, as its seconds are; the counts are of the whole run.
        speed = pace(self.tally.images, seconds)
        parts = [
            str(tally),
            f"done before: {before:,}" if before else "",
            ", ".join(filter(None, (f"{seconds:.{seconds < 10:d}f} s", speed))),
        ]
        return "; ".join(filter(None, parts)) + tally.species(_SHOWN)

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
            run_id=self.run_id,
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
