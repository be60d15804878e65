"""A run over watched folders: when what is done is published, and what may fail meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from flowers_onnx.batch.log import Log
from flowers_onnx.batch.options import Options
from flowers_onnx.batch.output import Output
from flowers_onnx.batch.pipeline import Done
from flowers_onnx.batch.stop import Stop
from flowers_onnx.batch.tally import Tally
from flowers_onnx.batch.watch import Folders
from flowers_onnx.errors import FlowersError, OutputError, StorageError
from flowers_onnx.sources import RawFiles
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.schema import AnyRow

#: Seconds after which what failed is tried again; doubled each time.
_FIRST_PAUSE, _LAST_PAUSE = 5.0, 300.0
#: Of the time, publishing takes at most one part in so many.
_PARTS = 10


#: What classifies images, adds their rows, and is told which of the results count.
Classify = Callable[
    [Iterator[Item], Callable[[AnyRow], None], Callable[[Iterator[Done]], Iterator[Done]]], None
]


class Watching:
    """Bursts of images, each published when it is done, until a signal ends it.

    What can't be written is told once, and tried again until it can be.
    """

    def __init__(
        self,
        options: Options,
        folders: Sequence[str],
        output: Output,
        log: Log,
        stop: Stop,
        *,
        settle: float,
        at_start: Callable[[], None],
        before_publishing: Callable[[], None],
        on_published: Callable[[Tally], None],
    ) -> None:
        self._options, self._folders, self._settle = options, folders, settle
        self._output, self._log = output, log
        self._at_start = at_start
        self._before_publishing, self._on_published = before_publishing, on_published
        self._stop = stop
        self._not_before = 0.0
        self._pause = _FIRST_PAUSE
        self._has_told = False

    def run(self, classify: Classify, raw: RawFiles) -> bool:
        """Watch; False where journal or result was removed, so that all has to be read once more.

        Raises what ``classify`` does, and ``OutputError`` or ``StorageError`` where at the end
        something can't be written.
        """
        output, stop = self._output, self._stop
        folders = Folders(
            self._folders,
            self._settle,
            stop,
            claim=lambda item: self._options.shard.has(item.uri) and output.claim(item),
            on_raw=raw.note,
            say=lambda text: self._log.say(text, severity="WARNING"),
        )
        self._log.say(f"watches {', '.join(self._folders)}; SIGTERM or Ctrl-C ends it in order")
        self._at_start()
        until = None
        while not (stop.asked or output.removed):
            classify(
                folders.burst(until),
                self._add,
                lambda results: folders.settled(results, output.release),
            )
            until = None if stop.asked else self._publish()
        if place := output.removed:
            text = f"{place} was removed or replaced: what it had is done again"
            if stop.asked:
                text += " by the same command"
                if output.lost and output.unfinished:
                    raise OutputError(text)
            self._log.say(text, severity="WARNING")
            if not stop.asked:
                return False
            if output.lost:
                return True
        self._before_publishing()
        tally = output.publish()
        if tally.images:
            self._on_published(tally)
        return True

    def _add(self, row: AnyRow) -> None:
        """Keep a new row, as soon as that can be done; raises only where the end is asked for."""
        while True:
            try:
                self._output.add(row)
            except (OutputError, StorageError) as error:
                self._tell(error)
                if self._output.lost:
                    return
                if self._stop.wait(self._next_pause()):
                    raise
            else:
                self._recover()
                return

    def _publish(self) -> float | None:
        """Publish what is done, unless it is too early; when to try again, None if it is done.

        Where rows are appended, it is tried until it is done: with others that were added
        meanwhile, these would be in the table twice.
        """
        while self._output.unfinished and not self._output.removed:
            began = time.monotonic()
            if began < self._not_before:
                return self._not_before
            try:
                self._before_publishing()
                tally = self._output.publish(goes_on=True)
            except FlowersError as error:
                self._tell(error)
                pause = self._next_pause()
                self._not_before = time.monotonic() + pause
                if not self._output.appends or self._stop.wait(pause):
                    return self._not_before
            else:
                now = time.monotonic()
                self._not_before = now + (_PARTS - 1) * (now - began)
                self._recover()
                self._on_published(tally)
        return None

    def _tell(self, error: Exception) -> None:
        if not (self._has_told or self._stop.asked):  # the end tells it by itself
            text = f"{error}; tried again until it can be; {self._output.kept()}"
            self._log.say(text, severity="ERROR")
        self._has_told = True

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(2 * self._pause, _LAST_PAUSE)
        return pause

    def _recover(self) -> None:
        self._has_told, self._pause = False, _FIRST_PAUSE
