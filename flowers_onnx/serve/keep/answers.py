"""Answers by Idempotency-Key: in memory, in the spool, or in the bucket."""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from flowers_onnx.serve.idempotency import Answer, Answers
from flowers_onnx.serve.keep import Ledger
from flowers_onnx.serve.keep.bucket_answers import BucketAnswers
from flowers_onnx.serve.keep.running import Running, check_request, digest_of
from flowers_onnx.serve.keep.spool import SpoolLedger
from flowers_onnx.serve.keep.spool_file import SpoolFile
from flowers_onnx.serve.keep.strict import StrictLedger

#: How long an answer is given again.
TTL_SECONDS = 24 * 3600
#: More aren't kept: the oldest go.
MAX_ANSWERS = 10_000
MAX_BYTES = 16 << 20
#: A spool's are weighed at each so-manieth answer: that reads all of them.
WEIGH_EVERY = 100


def open_answers(ledger: Ledger) -> Answers:
    """Where the ledger keeps rows, answers are kept as well; else in memory."""
    if isinstance(ledger, StrictLedger) and ledger.trace:
        return BucketAnswers(ledger.trace)
    if isinstance(ledger, SpoolLedger):
        return SpoolAnswers(ledger.file)
    return MemoryAnswers()


class _Remembered(NamedTuple):
    answer: Answer
    expires: float


class MemoryAnswers:
    """``Answers`` of this process, as long as it lives."""

    scope = "this process, for 24 hours at most"

    def __init__(self) -> None:
        self._running = Running()
        self._answers: OrderedDict[str, _Remembered] = OrderedDict()
        self._bytes = 0

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        digest = digest_of(key)
        found = self._answers.get(digest)
        if found and found.expires > time.monotonic():
            check_request(found.answer.fingerprint, fingerprint)
            return found.answer
        self._running.begin(digest, fingerprint)
        return None

    async def finish(self, key: str, answer: Answer) -> None:
        digest = digest_of(key)
        self._forget(digest)
        self._answers[digest] = _Remembered(answer, time.monotonic() + TTL_SECONDS)
        self._bytes += len(answer.body)
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self._answers)))
        self._running.end(digest)

    async def release(self, key: str) -> None:
        self._running.end(digest_of(key))

    def _forget(self, digest: str) -> None:
        if found := self._answers.pop(digest, None):
            self._bytes -= len(found.answer.body)


class SpoolAnswers:
    """``Answers`` in the spool's file: they outlive the process."""

    scope = "this machine's spool, for 24 hours"

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._running = Running()

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        digest = digest_of(key)
        self._running.begin(digest, fingerprint)
        try:
            found = await self._file.read(partial(_select, digest, time.time()))
            if found:
                check_request(found.fingerprint, fingerprint)
        except BaseException:
            self._running.end(digest)
            raise
        if found:
            self._running.end(digest)
        return found

    async def finish(self, key: str, answer: Answer) -> None:
        digest = digest_of(key)
        await self._file.write(partial(_insert, digest, answer, time.time()))
        self._running.end(digest)

    async def release(self, key: str) -> None:
        self._running.end(digest_of(key))


def _select(digest: str, now: float, connection: sqlite3.Connection) -> Answer | None:
    found = connection.execute(
        "SELECT fingerprint, request_id, status, body FROM answer WHERE key = ? AND expires > ?",
        (digest, now),
    ).fetchone()
    return found and Answer(*found)


def _insert(digest: str, answer: Answer, now: float, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM answer WHERE key = ?", (digest,))
    number = connection.execute(
        "INSERT INTO answer (key, expires, fingerprint, request_id, status, body)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            digest,
            now + TTL_SECONDS,
            answer.fingerprint,
            answer.request_id,
            answer.status,
            answer.body,
        ),
    ).lastrowid
    # Ids grow with time: the oldest are the first to expire, and the first to go.
    connection.execute(
        "DELETE FROM answer WHERE id IN (SELECT id FROM answer WHERE expires <= ? LIMIT 100)"
        " OR id <= (SELECT max(id) FROM answer) - ?",
        (now, MAX_ANSWERS),
    )
    if number and number % WEIGH_EVERY == 0:
        connection.execute(
            "DELETE FROM answer WHERE id <= (SELECT max(id) FROM (SELECT id, sum(length(body))"
            " OVER (ORDER BY id DESC) AS bytes FROM answer) WHERE bytes > ?)",
            (MAX_BYTES,),
        )
