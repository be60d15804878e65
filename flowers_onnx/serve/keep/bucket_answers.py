"""Answers by Idempotency-Key in the bucket: one memory for all instances.

Objects that are made once and never overwritten, in ``TRACE/idempotency/<hash of the key>/``:

- ``claim-<n>``: somebody answers. Who makes it is the one;
- ``released-<n>``: there will be no answer from that one;
- ``answer``: the answer; the first one stays.

A claim without an answer after ``CLAIM_SECONDS`` is that of a process that died: the next one is
``claim-<n+1>``. So no compare-and-swap is needed, and two may answer only if one of them took
longer than that. They stay as long as the bucket's lifecycle rule lets them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.idempotency import Answer
from flowers_onnx.serve.keep.place import Place
from flowers_onnx.serve.keep.running import Running, check_request, digest_of, in_progress

#: Longer than any request takes, from its claim to its answer.
CLAIM_SECONDS = 60
#: Tries for one key: whoever has used them up has another trouble than ours.
_MAX_CLAIMS = 50


class BucketAnswers:
    """``Answers`` in ``--trace``."""

    scope = "all instances: kept in the bucket, until its lifecycle rule removes it"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._running = Running()
        self._claims: dict[str, int] = {}
        #: Calls that nobody waits for.
        self._behind: set[asyncio.Task[Any]] = set()

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        digest = digest_of(key)
        self._running.begin(digest, fingerprint)
        claiming = asyncio.create_task(self._claim(digest, fingerprint))
        try:
            found = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # The claim may be made all the same, and would keep others out for a minute.
            self._go_on(claiming, partial(self._abandon, digest))
            raise
        except BaseException:
            self._abandon(digest)
            raise
        if found:
            self._running.end(digest)
        return found

    async def finish(self, key: str, answer: Answer) -> None:
        digest = digest_of(key)
        await self._create(f"{digest}/answer", asdict(answer))
        self._claims.pop(digest, None)
        self._running.end(digest)

    async def release(self, key: str) -> None:
        self._abandon(digest_of(key))

    async def _claim(self, digest: str, fingerprint: str) -> Answer | None:
        if why := self._place.problem():
            raise StorageError("read_error", why)
        mine = {"fingerprint": fingerprint, "owner": secrets.token_hex(8), "time": time.time()}
        for number in range(1, _MAX_CLAIMS):
            name = f"{digest}/claim-{number}"
            # False may stand for this very call: then the claim there is ours.
            if await self._create(name, mine) or (found := await self._read(name)) == mine:
                self._claims[digest] = number
                # The one before may have been slow, not dead.
                late = await self._answer(digest, fingerprint) if number > 1 else None
                if late:
                    del self._claims[digest]
                return late
            if found is None:  # the lifecycle rule was quicker
                continue
            check_request(found["fingerprint"], fingerprint)
            if answer := await self._answer(digest, fingerprint):
                return answer
            if time.time() - found["time"] > CLAIM_SECONDS:
                continue
            if await self._read(f"{digest}/released-{number}") is None:
                raise in_progress()
        raise in_progress()

    async def _answer(self, digest: str, fingerprint: str) -> Answer | None:
        """The answer, unless it is another request's, whose claim is gone by the lifecycle rule."""
        found = await self._read(f"{digest}/answer")
        return Answer(**found) if found and found["fingerprint"] == fingerprint else None

    def _abandon(self, digest: str) -> None:
        """There will be no answer; others are told behind ours, which may be that all is down."""
        self._running.end(digest)
        if number := self._claims.pop(digest, None):
            self._go_on(asyncio.create_task(self._release(digest, number)))

    def _go_on(self, task: asyncio.Task[Any], then: Callable[[], None] = lambda: None) -> None:
        def ended(_: object) -> None:
            self._behind.discard(task)
            if not task.cancelled():
                task.exception()  # it is no oversight if nobody asks
                then()

        self._behind.add(task)
        task.add_done_callback(ended)

    async def _release(self, digest: str, number: int) -> None:
        with contextlib.suppress(StorageError):
            await self._create(f"{digest}/released-{number}", {})

    async def _create(self, name: str, value: dict[str, Any]) -> bool:
        data = json.dumps(value, allow_nan=False).encode()
        return await self._place.create(f"idempotency/{name}", data)

    async def _read(self, name: str) -> dict[str, Any] | None:
        data = await self._place.read(f"idempotency/{name}")
        return None if data is None else json.loads(data)
