"""The rows of a batch: published ones, those in the journal, and new ones; each image once."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from itertools import chain, filterfalse
from typing import Self

from flowers_onnx.batch.ledger import Ledger
from flowers_onnx.batch.settings import Settings
from flowers_onnx.batch.shard import Shard
from flowers_onnx.batch.tally import Tally
from flowers_onnx.errors import OutputError, StorageError
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.local import version_of
from flowers_onnx.storage.uris import local_path
from flowers_onnx.tables import Sink
from flowers_onnx.tables.journal import open_journal
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import AnyRow

#: Whether the rows of a journal take the place of earlier versions', as it is noted there.
_LATEST = "latest"


class Output:
    """What is done already, and the way to add to it.

    New rows go into the journal; ``publish`` puts all of them into the sink. Without it, and
    after a kill at any moment, the next ``Output`` of the same sink and journal goes on where this
    one stopped. As a context manager, it leaves the journal in order.

    What is there already, in ``out`` or the journal, has to be made with ``settings``, unless
    ``mix_settings``; ``record`` is where the result's provenance record is. A ``UsageError`` of
    theirs leaves all as it is.

    With ``latest``, what is published of an image takes the place of the rows of its earlier
    versions, which else stay; a sink that appends has them all the same.
    """

    def __init__(
        self,
        sink: Sink,
        journal_place: str,
        *,
        by_version: bool,
        retry_errors: bool,
        shard: Shard = Shard(),  # noqa: B008  frozen
        settings: Settings | None = None,
        mix_settings: bool = False,
        out: str = "",
        record: str | None = None,
        latest: bool = False,
    ) -> None:
        self._sink, self._place, self._shard = sink, journal_place, shard
        self._by_version, self._retry_errors = by_version, retry_errors
        self._made_with: AnyRow = {
            **(settings.unseen if settings else {}),
            **({_LATEST: True} if latest else {}),
        }
        self._settings = None if mix_settings else settings
        self._out, self._record = out, record
        self._result_path = local_path(out) if out else None
        #: What the result was when it was opened, or written the last time.
        self._result: os.stat_result | None = None
        self._just_published = self._new_ledger()
        #: The rows that were published, without those that were there before.
        self.published = Tally()
        self._open()
        if self._journal.complete:
            # Killed while publishing. First the rows that were to be published, and no others: a
            # sink that appends knows by their being the same what it has already.
            try:
                with self:
                    self._finish(latest=_LATEST in (self._journal.made_with or {}))
            except (OutputError, StorageError) as error:
                raise OutputError(f"{error}; {self.kept()}") from error
            self._open()
            self._ledger.note_just_published(self._just_published)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._sink.close()
        if self.unfinished or self.lost:
            self._journal.close()
        else:
            self._journal.remove()

    @property
    def lost(self) -> bool:
        """Whether somebody has removed the journal: only a new ``Output`` knows what is done."""
        return self._journal.lost

    @property
    def removed(self) -> str | None:
        """Journal or result, if somebody has removed or replaced it: ask a new ``Output``, then.

        A folder that was taken away is no removal, and of a bucket or table it isn't known.
        """
        if self.lost:
            return self._place
        path, before = self._result_path, self._result
        if path is None or before is None or not os.path.isdir(os.path.dirname(path) or os.curdir):
            return None
        try:
            now = os.stat(path)
        except OSError as error:
            return self._out if error.errno in {errno.ENOENT, errno.ESTALE} else None
        # Some file systems give a file another number now and then.
        same = os.path.samestat(now, before) or version_of(now) == version_of(before)
        return None if same else self._out

    def _note_result(self) -> None:
        with contextlib.suppress(OSError):
            self._result = os.stat(self._result_path) if self._result_path else None

    def _open(self) -> None:
        self._journal = open_journal(self._place, RESULTS.version, RESULTS.earlier)
        try:
            self._ledger = self._new_ledger()
            self._note_result()
            self._has_result = False
            for row in self._sink.sample() if self._settings and self._sink.appends else ():
                self._examine(row, self._out)
            for row in self._sink.existing():
                if self._settings and self._record and not self._has_result:
                    self._settings.check_record(self._record, self._out)
                self._has_result = True
                if not self._sink.appends:
                    self._examine(row, self._out)
                if self._shard.has(row["source_uri"]):  # a table has the rows of all shards
                    self._ledger.note_published(row)
            self.unfinished = 0
            for row in self._journal.rows():
                if self._settings and not self.unfinished:
                    self._settings.check_unseen(self._journal.made_with or {}, self._place)
                self._examine(row, self._place)
                self._ledger.note(row)
                self.unfinished += 1
        except BaseException:
            self._sink.close()
            if next(self._journal.rows(), None) is None:
                self._journal.remove()
            else:
                self._journal.close()
            raise

    def _examine(self, row: AnyRow, place: str) -> None:
        if self._settings:
            self._settings.check(row, place)

    def _new_ledger(self, *, latest: bool = False) -> Ledger:
        by_version = self._by_version and not latest
        return Ledger(by_version=by_version, retry_errors=self._retry_errors)

    @property
    def before(self) -> int:
        """Images that were to be done, and that the result had before this run."""
        return self._ledger.before

    @property
    def appends(self) -> bool:
        """Whether a failed ``publish`` has to be repeated before another row is added."""
        return self._sink.appends

    def claim(self, item: Item) -> bool:
        """Whether ``item`` is to be done; the caller will then ``add`` its row."""
        return self._ledger.claim(item)

    def release(self, item: Item) -> None:
        """Have ``item`` be claimed again."""
        self._ledger.release(item)

    def add(self, row: AnyRow) -> None:
        """Keep a new row; raises ``OutputError`` or ``StorageError``."""
        self._note_settings()
        self._journal.append(row)
        self.unfinished += 1

    def unpublished(self) -> Iterator[AnyRow]:
        """The rows that the journal has."""
        return self._journal.rows()

    def rows(self) -> Iterator[AnyRow]:
        """All rows that tell a name, in the order they were made.

        Those of a table only where it doesn't have them yet.
        """
        earlier = self._sink.existing() if self._sink.tells_names else ()
        return chain(earlier, self._journal.rows())

    def kept(self) -> str:
        """Where the rows are that aren't published."""
        number = f"{self.unfinished:,} image{'s are' if self.unfinished != 1 else ' is'}"
        return f"{number} done and kept in {self._place}; the same command goes on from there"

    def publish(self, *, goes_on: bool = False) -> Tally:
        """Put all rows into the sink and forget the journal; raises as these do.

        Nothing is written where nothing is new, but an empty result where there was none. With
        ``goes_on`` more rows may follow. Returns what was published.
        """
        if self.unfinished or not self._has_result:
            self._note_settings()
            self._journal.mark_complete()
        return self._finish(latest=_LATEST in self._made_with, goes_on=goes_on)

    def _note_settings(self) -> None:
        if self._made_with != (self._journal.made_with or {}):
            self._journal.note(self._made_with)

    def _finish(self, *, latest: bool, goes_on: bool = False) -> Tally:
        tally = Tally()
        if self.unfinished or not self._has_result:
            # What the journal alone decides, so that it is the same after a kill.
            new = self._new_ledger(latest=latest)
            for row in self._journal.rows():
                new.note(row)
            self._just_published = new
            self._sink.publish(self._to_publish(new, latest=latest))
            self._note_result()
            self._has_result = True
            for row in new.last_rows(self._journal.rows()):
                tally.note(row)
                self.published.note(row)
        if goes_on:
            self._journal.clear()
        else:
            self._journal.remove()
        self.unfinished = 0
        return tally

    def _to_publish(self, new: Ledger, *, latest: bool) -> Iterator[AnyRow]:
        rows = self._journal.rows()
        if self._sink.appends:
            return new.last_rows(rows)
        if latest:
            return chain(filterfalse(new.has, self._sink.existing()), new.last_rows(rows))
        return self._ledger.last_rows(chain(self._sink.existing(), rows))
