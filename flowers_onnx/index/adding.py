"""Make an index, or let it grow: what is done outlives the process, and is done once.

Photos go into a journal beside the index as they are done, and into the index all at once. After
a kill, the same command finds what is in the journal, and does the rest.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from flowers_onnx.atomic import remove_leftovers, replacing
from flowers_onnx.classifier import Classifier
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.file_uris import path_of_file
from flowers_onnx.index.catalogue import Catalogue, Known
from flowers_onnx.index.file import Vector, quantised
from flowers_onnx.index.index import open_tables
from flowers_onnx.index.maker import Maker, maker_of
from flowers_onnx.index.photo import Row, row_of
from flowers_onnx.index.places import Places, absolute, journal_of
from flowers_onnx.index.writing import Writer
from flowers_onnx.results import Failure, Prediction
from flowers_onnx.sources import RegularFile, Stream, Unreadable, open_at_once
from flowers_onnx.storage.uris import file_uri
from flowers_onnx.tables.journal import LocalJournal
from flowers_onnx.tables.schema import AnyRow

#: Of the rows in a journal.
_VERSION = "index-1"


@dataclass(slots=True)
class Added:
    """How many photos were new, changed, moved, as they were before, or failed; all there are."""

    new: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    failed: int = 0
    total: int = 0

    def __str__(self) -> str:
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


#: Is told of each photo: its failure, or None if the index has it now.
OnPhoto = Callable[[Failure | None, Added], None]


def add_photos(
    path: str,
    classifier: Classifier,
    sources: Iterable[str | Stream | Unreadable],
    on_photo: OnPhoto = lambda _failure, _added: None,
) -> Added:
    """Add what ``sources.expand`` gives to the index at ``path``, which may not be there yet.

    Photos that it has and that haven't changed since, by size and time, aren't read. Raises
    ``UsageError`` for an index that can't be gone on with, or that another process is at work
    on, ``OutputError`` if it can't be written; what is done stays for the next call.
    """
    maker = maker_of(classifier.info)
    open_tables(path, maker)  # what can't be gone on with is told before a file is made
    journal = LocalJournal(journal_of(path), _VERSION)
    is_published = False
    try:
        growing = _Growing(path, maker, journal)
        growing.add(classifier, sources, on_photo)
        growing.publish()
        is_published = True
    finally:
        if is_published or next(journal.rows(), None) is None:
            journal.remove()
        journal.close()
    return growing.added


class _ToDo(NamedTuple):
    """A photo that is asked for, as it is now; ``known`` is what there is of it so far."""

    place: str
    uri: str
    size: int
    mtime_ns: int
    known: Known | None


class _Entry(NamedTuple):
    """A photo in the journal; it takes the place of the one at ``replaces``."""

    row: Row
    features: Vector
    replaces: str | None

    def to_json(self) -> AnyRow:
        features = base64.b64encode(self.features.tobytes()).decode()
        return {"row": asdict(self.row), "features": features, "replaces": self.replaces}


class _Growing:
    """One run: what index and journal have, and what comes to them."""

    def __init__(self, path: str, maker: Maker, journal: LocalJournal) -> None:
        self._path, self._maker, self._journal = path, maker, journal
        self._made_with = asdict(maker)
        other = journal.made_with or self._made_with
        if other.get("network") != maker.network:
            raise UsageError(
                f"{journal_of(path)} has photos by another model, {other.get('id')}: "
                "add the rest with that one, or remove the file"
            )
        # Again, now that no other process is at work on it.
        self._tables = open_tables(path, maker)
        remove_leftovers(path)
        self._places = Places(path)
        self._asked: set[str] = set()
        self._catalogue = Catalogue()
        if self._tables:
            for number in range(len(self._tables.rows)):
                self._catalogue.note(self._tables.row(number), number)
        self._kept = 0
        for entry in self._entries():
            self._note(entry)
        self.added = Added()

    def add(
        self,
        classifier: Classifier,
        sources: Iterable[str | Stream | Unreadable],
        on_photo: OnPhoto,
    ) -> None:
        """Do what isn't done yet, and keep it in the journal."""
        waiting: deque[_ToDo | None] = deque()
        for result in classifier.embeddings(self._to_do(sources, waiting, on_photo)):
            todo = waiting.popleft()
            if isinstance(result, Failure):
                self.added.failed += 1
                on_photo(result, self.added)
            elif todo is not None:
                self._keep(_row(todo, result.prediction), quantised(result.features), todo.known)
                self.added.changed += todo.known is not None
                self.added.new += todo.known is None
                on_photo(None, self.added)

    def publish(self) -> None:
        """Put what is in the journal into the index."""
        self.added.total = len(self._catalogue)
        if not self._kept:
            return
        numbers = self._catalogue.numbers()
        old = np.array(sorted(number for number in numbers if number >= 0), np.intp)
        new = {number for number in numbers if number < 0}
        try:
            with replacing(self._path) as draft:
                channels = len(next(self._entries()).features)
                with Writer(draft, self._maker, len(numbers), channels) as writer:
                    if self._tables:
                        writer.copy(self._tables, old)
                    for count, entry in enumerate(self._entries(), start=1):
                        if -count in new:
                            writer.add(entry.row, entry.features)
                self._tables = None  # Windows replaces no file that is in use
        except OSError as error:
            raise OutputError(f"can't write to {self._path}: {error.strerror or error}") from error

    def _to_do(
        self,
        sources: Iterable[str | Stream | Unreadable],
        waiting: deque[_ToDo | None],
        on_photo: OnPhoto,
    ) -> Iterator[RegularFile | Unreadable]:
        """What has to be looked at; for each, ``waiting`` gets what to do with it."""
        for source in sources:
            if isinstance(source, Unreadable):
                waiting.append(None)
                yield source
            elif isinstance(source, Stream):
                raise UsageError("a photo in an index is a file")
            elif (todo := self._looked_up(source)) is None:
                waiting.append(None)  # reading it tells why
                yield RegularFile(source)
            elif todo.place in self._asked:
                continue
            elif self._has(todo):
                self._asked.add(todo.place)
                on_photo(None, self.added)
            else:
                self._asked.add(todo.place)
                waiting.append(todo)
                yield RegularFile(source)

    def _looked_up(self, path: str) -> _ToDo | None:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        place, uri = self._places.place_of(path), file_uri(absolute(path))
        return _ToDo(place, uri, found.st_size, found.st_mtime_ns, self._catalogue.find(place, uri))

    def _has(self, todo: _ToDo) -> bool:
        """Whether it is done, as it is now, or under another name."""
        version = (todo.size, todo.mtime_ns)
        if todo.known and todo.known.version == version:
            self.added.unchanged += 1
            return True
        same = self._of_the_same_bytes(todo)
        if same is None or self._tables is None:
            return False
        row = replace(
            self._tables.row(same.number),
            place=todo.place,
            uri=todo.uri,
            size=todo.size,
            mtime_ns=todo.mtime_ns,
        )
        self._tables.check_vectors(np.array([same.number]))
        features = self._tables.features[same.number]
        if todo.known:
            self._keep(row, features, todo.known)
            if todo.known.sha256 == same.sha256:  # only its time is another one
                self.added.unchanged += 1
            else:  # a copy of another photo took its place
                self.added.changed += 1
        elif os.path.lexists(self._path_of(same)):
            self._keep(row, features, None)
            self.added.new += 1
        else:
            self._keep(row, features, same)
            self.added.moved += 1
        return True

    def _of_the_same_bytes(self, todo: _ToDo) -> Known | None:
        """A photo of the index that needs no second look; one that is gone, if there is one."""
        if not self._catalogue.may_have(todo.size):
            return None
        try:
            with open(path_of_file(todo.uri), "rb", opener=open_at_once) as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except OSError:  # reading it again tells why
            return None
        found = self._catalogue.copies(digest)
        gone = (one for one in found if not os.path.lexists(self._path_of(one)))
        return next(gone, next(iter(found), None))

    def _path_of(self, known: Known) -> str:
        return self._places.path_of(known.place, known.uri)

    def _keep(self, row: Row, features: Vector, known: Known | None) -> None:
        """Have the journal hold a photo, which takes the place of what was known of it."""
        if not self._kept:
            self._journal.note(self._made_with)
        replaces = known.place if known and known.place != row.place else None
        entry = _Entry(row, features, replaces)
        self._journal.append(entry.to_json())
        self._note(entry)

    def _note(self, entry: _Entry) -> None:
        self._kept += 1
        self._catalogue.note(entry.row, -self._kept, entry.replaces)

    def _entries(self) -> Iterator[_Entry]:
        """What the journal has."""
        channels = self._tables.features.shape[1] if self._tables else None
        for values in self._journal.rows():
            entry = _entry_of(values)
            channels = channels or (len(entry.features) if entry else None)
            if entry is None or len(entry.features) != channels:
                raise UsageError(
                    f"{journal_of(self._path)} is damaged: remove it, and add its photos again"
                )
            yield entry


def _entry_of(values: AnyRow) -> _Entry | None:
    try:
        features = np.frombuffer(base64.b64decode(values["features"], validate=True), np.int8)
        row, replaces = row_of(values["row"]), values["replaces"]
    except (LookupError, TypeError, ValueError):
        return None
    return _Entry(row, features, replaces) if isinstance(replaces, str | None) else None


def _row(todo: _ToDo, found: Prediction) -> Row:
    best = found.top[0]
    return Row(
        place=todo.place,
        uri=todo.uri,
        sha256=found.sha256 or "",
        size=todo.size,
        mtime_ns=todo.mtime_ns,
        width=found.width,
        height=found.height,
        label=best.label,
        scientific_name=found.scientific_name,
        class_id=best.class_id,
        confidence=best.confidence,
        known=found.known,
    )
