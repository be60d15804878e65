"""The loads of a trace into one table, numbered: ``TRACE/loads/<table>/<number>.json``.

Each is a manifest: the objects of that load, and all that is loaded of the last days, so that the
newest one is all that a loader has to know. It is made once and by one of all loaders, whoever
comes first, and the next one only when its rows are in the table.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flowers_onnx.errors import OutputError
from flowers_onnx.record import to_json
from flowers_onnx.serve.trace.objects import ObjectSet
from flowers_onnx.storage import store_for
from flowers_onnx.tables.schema import time_to_text, to_time

#: Seconds between two loads, whoever does them: 1,440 a day, and a table takes 1,500.
EVERY = 60
#: How late an object may come into the folder of a day, by clocks that differ and slow writes.
_LATE = timedelta(days=2)

_FORM = 1
_NAME = re.compile(r".*/(\d{8})\.json", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One load; ``id`` is like no other's, whatever the rows."""

    number: int
    id: str
    #: Seconds since 1970, ``EVERY`` behind the one before at least.
    time: float
    objects: ObjectSet
    #: The first day that may still get objects; what is older has been loaded.
    since: str
    #: What is loaded of that day and later, ``objects`` among it.
    loaded: ObjectSet

    def has(self, objects: ObjectSet) -> bool:
        """Whether these are all loaded with this load, or were before."""
        return all(name in self.loaded or name in self.objects for name in objects)


def following(last: Manifest | None, objects: ObjectSet, now: float) -> Manifest:
    """The manifest that loads ``objects``, behind ``last``."""
    # Behind the last one by every clock: else two that differ would have two loads a minute.
    time = max(now, last.time + EVERY) if last else now
    loaded = last.loaded.since(last.since) if last else ObjectSet()
    for name in objects:
        loaded.add(name)
    # The earlier of the two: there may be more of the past than a load takes, and an
    # instance whose clock is years ahead.
    day = min(datetime.fromtimestamp(time, UTC).date(), date.fromisoformat(loaded.last_day()))
    since = max((day - _LATE).isoformat(), last.since if last else "")
    number = last.number + 1 if last else 0
    return Manifest(number, secrets.token_hex(16), time, objects, since, loaded.since(since))


def pause_behind(last: Manifest | None, now: float) -> float:
    """Seconds until the next manifest may be made, at most ``EVERY``."""
    return min(EVERY, max(0, last.time + EVERY - now)) if last else 0


class Manifests:
    """Those of one table, told by its identity. All raise ``StorageError``."""

    def __init__(self, trace: str, table: str) -> None:
        name = hashlib.sha256(table.encode()).hexdigest()[:32]
        self._table, self._folder = table, f"{trace.rstrip('/')}/loads/{name}"
        self._store = store_for(self._folder)
        self._done = -1

    def newest(self) -> Manifest | None:
        """The last one that was made, if any was.

        Raises ``OutputError`` if it is gone, since nobody knows then what is loaded.
        """
        done = self._store.download(f"{self._folder}/done.json")
        self._done = newest = json.loads(done)["load"] if done else -1
        for item in self._store.scan(f"{self._folder}/", self._place(max(newest, 0))):
            if match := _NAME.fullmatch(item.uri):
                newest = int(match[1])
        content = self._store.download(self._place(max(newest, 0)))
        if content is not None:
            return _parse(json.loads(content))
        if newest < 0:
            return None
        raise OutputError(
            f"{self._place(newest)} is gone, and with it what is in {self._table} already: load "
            "into a new table"
        )

    def is_done(self, manifest: Manifest) -> bool:
        """Whether its rows were in the table when ``newest`` was asked."""
        return manifest.number <= self._done

    def make(self, manifest: Manifest) -> None:
        """Make it the newest one, unless somebody else was first."""
        content = {
            "manifest": _FORM,
            "load": manifest.number,
            "id": manifest.id,
            "time": time_to_text(datetime.fromtimestamp(manifest.time, UTC)),
            "table": self._table,
            "objects": manifest.objects.to_json(),
            "since": manifest.since,
            "loaded": manifest.loaded.to_json(),
        }
        data = to_json(content).encode() + b"\n"
        self._store.write(self._place(manifest.number), data, if_absent=True)

    def note_done(self, manifest: Manifest) -> None:
        """Say that its rows are in the table."""
        data = to_json({"load": manifest.number}).encode() + b"\n"
        self._store.write(f"{self._folder}/done.json", data)

    def _place(self, number: int) -> str:
        return f"{self._folder}/{number:08}.json"


def unfinished(trace: str) -> Iterator[Manifest]:
    """The newest load into each table that has loads, unless its rows are in the table."""
    folder = f"{trace.rstrip('/')}/loads/"
    store, after = store_for(folder), ""
    while first := next((i for i in store.scan(folder, after) if _NAME.fullmatch(i.uri)), None):
        content = json.loads(store.download(first.uri) or b"{}")
        if "table" in content:
            manifests = Manifests(trace, content["table"])
            newest = manifests.newest()
            if newest and not manifests.is_done(newest):
                yield newest
        after = first.uri.rpartition("/")[0] + "/~"  # behind all of this table's


def _parse(content: dict[str, Any]) -> Manifest:
    if content["manifest"] != _FORM:
        raise OutputError("the last load was made by a newer flowers; load with that one")
    return Manifest(
        content["load"],
        content["id"],
        to_time(content["time"]).timestamp(),
        ObjectSet.from_json(content["objects"]),
        content["since"],
        ObjectSet.from_json(content["loaded"]),
    )
