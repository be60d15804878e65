"""Where in a trace some requests and photos are: a scan that holds nothing but what it finds."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flowers_onnx.concurrency import map_ordered
from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace.objects import ObjectSet, Trace, object_name
from flowers_onnx.storage import store_for

_READERS = 16
_HASH = re.compile(r"[0-9a-f]{64}")
_REQUEST = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Wanted:
    """Requests, by id, and photos, by the SHA-256 of what was sent or of what is kept."""

    requests: frozenset[str]
    photos: frozenset[str]

    @staticmethod
    def of(ids: Iterable[str]) -> Wanted:
        """Raises ``UsageError`` for what is neither."""
        words = [word.strip().lower() for word in ids]
        for word in words:
            if not (_HASH.fullmatch(word) or _REQUEST.fullmatch(word)):
                raise UsageError(
                    f"{word} is neither a request id (01926f3a-0000-7000-8000-000000000001) nor a "
                    "photo's SHA-256 (64 hexadecimal digits)"
                )
        photos = frozenset(word for word in words if _HASH.fullmatch(word))
        return Wanted(frozenset(words) - photos, photos)

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is of one of these; the repeats of a request are of it."""
        return any(str(row.get(name)) in self.requests for name in ("request_id", "replay_of")) or (
            any(str(row.get(name)) in self.photos for name in ("sha256", "kept_sha256"))
        )

    def takes_line(self, line: bytes) -> bool:
        """The same for a line that holds one of the words; one that makes no sense is taken."""
        row = _row(line)
        return not row or self.takes(row)

    def since(self) -> str:
        """The first day that may have rows of these, told by the ids; empty for any."""
        ids = [uuid.UUID(each) for each in self.requests]
        if self.photos or any(each.version != 7 for each in ids):
            return ""
        first = datetime.fromtimestamp(min(each.int >> 80 for each in ids) / 1e3, UTC)
        return (first - timedelta(days=1)).date().isoformat()


@dataclass
class Found:
    """``objects``: how many rows of each are to go; ``others``: rows of others, by photo.

    ``photos``: where the rows that are to go say that each is, by the SHA-256 of what was sent.
    """

    requests: set[str] = field(default_factory=set)
    objects: dict[str, int] = field(default_factory=dict)
    photos: dict[str, set[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    #: All ids and hashes in the rows that are to go.
    words: set[str] = field(default_factory=set)


def find(trace: Trace, wanted: Wanted) -> tuple[Wanted, Found]:
    """What there is of it; the wanted come back with the requests that theirs repeat.

    A scan of the trace for each thing that leads to another: a request to its photo, for one.
    """
    searched: frozenset[str] = wanted.photos
    since = wanted.since()
    while True:
        found = _scan(trace, wanted, searched, since)
        requests = wanted.requests | found.requests
        if requests == wanted.requests and found.photos.keys() <= searched:
            return wanted, found
        wanted = Wanted(requests, wanted.photos)
        searched |= found.photos.keys()
        since = ""


def holding(words: Collection[str]) -> re.Pattern[bytes]:
    """Finds any of these in JSON: they have no letter that it would write otherwise."""
    return re.compile(b"|".join(word.encode() for word in sorted(words)))


def read_all(uris: Iterable[str], pattern: re.Pattern[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """The lines with the pattern in objects that have any; many are read at a time."""

    def look(uri: str) -> tuple[str, list[bytes]]:
        content = store_for(uri).download(uri)
        if not content or not pattern.search(content):
            return uri, []
        return uri, [line for line in content.split(b"\n") if pattern.search(line)]

    for uri, lines in map_ordered(
        look, uris, threads=_READERS, ahead=2 * _READERS, name="flowers-search"
    ):
        if lines:
            yield uri, lines


def _scan(trace: Trace, wanted: Wanted, photos: frozenset[str], since: str) -> Found:
    found = Found()
    uris = (object_name(trace.place, *name) for name, _ in trace.objects(ObjectSet(), since))
    for uri, lines in read_all(uris, holding(wanted.requests | wanted.photos | photos)):
        for line in lines:
            row = _row(line)
            if wanted.takes_line(line):
                found.objects[uri] = found.objects.get(uri, 0) + 1
                _note(row, wanted, found)
            elif row.get("sha256"):
                found.others[str(row["sha256"])] += 1
    return found


def _note(row: Mapping[str, Any], wanted: Wanted, found: Found) -> None:
    request, repeated, sent = (row.get(name) for name in ("request_id", "replay_of", "sha256"))
    words = (request, repeated, sent, row.get("kept_sha256"))
    found.words |= {str(word) for word in words if word}
    if repeated and str(request) in wanted.requests and _REQUEST.fullmatch(str(repeated)):
        found.requests.add(str(repeated))
    if sent and _HASH.fullmatch(str(sent)):
        places = found.photos.setdefault(str(sent), set())
        if row.get("photo"):
            places.add(str(row["photo"]))


def _row(line: bytes) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
