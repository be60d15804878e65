"""A process that records through a ledger as a server does, until it is killed or terminated.

``python tests/serve/recorder.py '{"options": {...}, "instance": "a", ...}'``; a line for each
request: ``ok``, ``no`` (StorageError) or ``late`` (cancelled), its id, and the photo's name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import random
import signal
import sys
import time
from typing import Any

from flowers_onnx.errors import StorageError
from flowers_onnx.serve.keep import KeptPhoto, Ledger
from flowers_onnx.serve.keep.ledgers import open_ledger
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.trace.row import TraceRow, trace_row
from flowers_onnx.storage import http
from flowers_onnx.tables.schema import utc_now


def photo_of(data: bytes) -> KeptPhoto:
    return KeptPhoto(f"{hashlib.sha256(data).hexdigest()}.jpg", data)


def row_of(request_id: str, photo: KeptPhoto | None = None, **more: Any) -> TraceRow:
    values: dict[str, Any] = {
        "request_id": request_id,
        "time": utc_now(),
        "method": "POST",
        "route": "/v1/classify",
        "status": 200,
        "top": [{"label": "dahlia", "class_id": 73, "confidence": 0.9}] * 5,
        "total_ms": 7.5,
        "instance": "test",
        "version": "0",
    }
    if photo:
        values |= {"photo": f"kept/{photo.name}", "kept_sha256": photo.name[:64]}
    return trace_row(**values, **more)


async def work(ledger: Ledger, plan: dict[str, Any], number: int, stopping: asyncio.Event) -> None:
    """One request after another, or ``every`` pause another one, whatever becomes of them."""
    dice = random.Random(f"{plan['instance']} {number}")
    tasks: set[asyncio.Task[None]] = set()
    for count in range(1_000_000):
        if stopping.is_set():
            break
        seed = dice.randrange(50) if dice.random() < 0.3 else dice.random()
        photo = photo_of(random.Random(seed).randbytes(plan["photo_bytes"]))
        tasks = {task for task in tasks if not task.done()}
        tasks.add(asyncio.create_task(ask(ledger, f"{plan['instance']}-{number}-{count}", photo)))
        del photo
        if not plan.get("every"):
            await asyncio.wait(tasks)
        await asyncio.sleep(plan["pause"])
    if tasks:
        await asyncio.wait(tasks)


async def ask(ledger: Ledger, request_id: str, photo: KeptPhoto) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(8):
            await ledger.record([row_of(request_id, photo)], [photo])
        answer = "ok"
    except StorageError:
        answer = "no"
    except TimeoutError:
        answer = "late"
    seconds = time.monotonic() - began
    os.write(1, f"{answer} {request_id} {photo.name} {seconds:.3f}\n".encode())


async def main(plan: dict[str, Any]) -> None:
    ledger = open_ledger(Options(**plan["options"]), plan["instance"])
    await ledger.start()
    os.write(1, b"started\n")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await asyncio.gather(*[work(ledger, plan, n, stopping) for n in range(plan["workers"])])
    if not plan["workers"]:  # only ships
        await stopping.wait()
    await ledger.close()


if __name__ == "__main__":
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # as the server does
    plan = json.loads(sys.argv[1])
    pauses = plan["backoff"]
    http.RETRIES = http.RETRIES.new(backoff_factor=pauses, backoff_jitter=pauses)
    asyncio.run(main(plan))
