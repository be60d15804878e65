"""What a drill sent, what was acknowledged, and what the bucket holds of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fakes.faults import Faults, unreliable
from fakes.gcs import fake_gcs
from fakes.s3 import fake_s3
from figures import Report
from pictures import distinct
from serving import request
from traffic import Answer, Traffic

from flowers_onnx import storage
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item

_BUCKET = "drill"
_MOST = 64 << 20


class Bucket:
    """A fake bucket behind a proxy with faults; ``flags`` and ``env`` send a server there."""

    def __init__(self, scheme: str, faults: Faults) -> None:
        self._scheme, self._faults = scheme, faults

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        fake = self._stack.enter_context(fake_gcs() if self._scheme == "gs" else fake_s3())
        fake.create(_BUCKET)
        os.environ.update(fake.env)  # for our own look, past the faults
        storage._store.cache_clear()  # an earlier bucket's
        self.env = dict(self._stack.enter_context(unreliable(fake, self._faults)).env)
        self.keep, self.trace = (fake.uri(_BUCKET, name) for name in ("keep", "trace"))
        self.flags = ["--keep", self.keep, "--trace", self.trace]
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(None, None, None)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows of all objects."""
        store = store_for(self.trace)
        for name in store.names(f"{self.trace}/"):
            content = store.read(Item(name), _MOST)[0]
            yield from map(json.loads, content.splitlines())

    def photo(self, uri: str) -> bytes | None:
        """A kept photo, or None."""
        return store_for(uri).download(uri)


@dataclass
class Sent:
    """Photos that are all different, by their number; and the answers to them."""

    bodies: list[bytes]
    hashes: list[str] = field(default_factory=list)
    answers: list[tuple[Answer, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._distinct = distinct(self.bodies)

    def requests(self) -> Iterator[bytes]:
        """For one ``Traffic``, which counts its requests from 0."""
        for body in self._distinct:
            self.hashes.append(hashlib.sha256(body).hexdigest())
            yield request(body)

    def traffic(self, port: int, patience: float = 30) -> Traffic:
        """A client that sends the next of them, each once."""
        return Traffic(port, self.requests(), patience=patience, bodies=True, resend=False)

    def note(self, traffic: Traffic, first: int) -> None:
        """Take its answers; ``first`` is how many hashes there were before it."""
        self.answers += [(answer, self.hashes[first + answer.number]) for answer in traffic.answers]

    @property
    def acknowledged(self) -> dict[str, str]:
        """Hashes of what was sent by the ids of the requests that were answered with 200."""
        return {
            json.loads(answer.body)["request_id"]: digest
            for answer, digest in self.answers
            if answer.status == 200
        }

    @property
    def unanswered(self) -> int:
        """Requests whose fate the client can't know."""
        return sum(answer.status == 0 for answer, _ in self.answers)


def compare(report: Report, sent: Sent, bucket: Bucket) -> None:
    """Acknowledged requests and rows, rows and photos: none lost, none twice, none wrong."""
    acknowledged, rows = sent.acknowledged, list(bucket.rows())
    times = Counter((row["request_id"], row["part"]) for row in rows)
    good = {row["request_id"]: row for row in rows if row["status"] == 200}
    other = [id_ for id_ in good if id_ not in acknowledged]
    wrong = [
        id_ for id_, digest in acknowledged.items()
        if id_ in good and good[id_]["sha256"] != digest
    ]  # fmt: skip
    without = [row for row in good.values() if not _has_photo(bucket, row)]
    hashes = Counter(row["sha256"] for row in good.values())
    report.say(
        "rows",
        f"{len(rows)}, {len(good)} with status 200 for {len(acknowledged)} acknowledged; "
        f"{len(other)} whose answer was lost, of {sent.unanswered} unanswered",
        rows=len(rows),
        acknowledged=len(acknowledged),
        lost_answers=len(other),
    )
    report.bound("acknowledged, no row", len(acknowledged.keys() - good.keys()), 0)
    report.bound("rows twice", sum(count - 1 for count in times.values()), 0)
    report.bound("photos answered twice", sum(count - 1 for count in hashes.values()), 0)
    report.bound("rows of another photo", len(wrong), 0)
    report.bound("rows without their photo", len(without), 0)
    report.bound("rows nobody asked for", max(0, len(other) - sent.unanswered), 0)


def missing(sent: Sent, bucket: Bucket) -> int:
    """How many acknowledged requests have no row yet."""
    found = {row["request_id"] for row in bucket.rows()}
    return len(sent.acknowledged.keys() - found)


def _has_photo(bucket: Bucket, row: dict[str, Any]) -> bool:
    uri = row["photo"]
    content = bucket.photo(uri) if uri else None
    return (
        content is not None
        and Path(uri).stem == row["sha256"]
        and hashlib.sha256(content).hexdigest() == row["kept_sha256"]
    )
