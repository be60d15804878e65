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
from dataclasses import asdict
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
        self._releasing: set[asyncio.Task[None]] = set()

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        digest = digest_of(key)
        self._running.begin(digest, fingerprint)
        try:
            found = await self._claim(digest, fingerprint)
        except BaseException:
            self._running.end(digest)
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
        digest = digest_of(key)
        self._running.end(digest)
        number = self._claims.pop(digest, None)
        if number is not None:
            # Behind the answer, which may be that the bucket is down.
            task = asyncio.create_task(self._release(digest, number))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

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
                late = await self._read(f"{digest}/answer") if number > 1 else None
                return Answer(**late) if late else None
            if found is None:  # the lifecycle rule was quicker
                continue
            check_request(found["fingerprint"], fingerprint)
            if answer := await self._read(f"{digest}/answer"):
                return Answer(**answer)
            if time.time() - found["time"] > CLAIM_SECONDS:
                continue
            if await self._read(f"{digest}/released-{number}") is None:
                raise in_progress()
        raise in_progress()

    async def _release(self, digest: str, number: int) -> None:
        with contextlib.suppress(StorageError):
            await self._create(f"{digest}/released-{number}", {})

    async def _create(self, name: str, value: dict[str, Any]) -> bool:
        return await self._place.create(f"idempotency/{name}", json.dumps(value).encode())

    async def _read(self, name: str) -> dict[str, Any] | None:
        data = await self._place.read(f"idempotency/{name}")
        return None if data is None else json.loads(data)
