"""kill -9 under load, again and again, with a bucket that fails now and then: nothing is lost.

    PYTHONPATH=tests python tests/bench/serve/kill.py [PHOTOS] [--durability strict,spool]
        [--kills 20] [--faults 0.1] [--store gs] [--connections 6] [--seconds 2] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. A closed loop sends photos that are
all different; after ``--seconds``, more or less, the server is killed and started anew. A share of
the bucket's calls fails: 503, 429, no answer, half an answer, late answers. At the end the
bucket is read past the faults: each acknowledged request has one row, and each row its photo.
Rows beyond those are of requests that were under way when the server died: their clients have no
answer, and can't know.
"""

from __future__ import annotations

import asyncio
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import fire
from fakes.faults import Faults
from figures import Report, statuses
from kept import Bucket, Sent, compare, missing
from pictures import photos
from serving import Server, serving

#: For a spool to be shipped.
_PATIENCE = 120


def main(
    data: str = "",
    *,
    durability: str | Sequence[str] = ("strict", "spool"),
    kills: int = 20,
    faults: float = 0.1,
    store: str = "gs",
    connections: int = 6,
    seconds: float = 2,
    flags: str = "",
    out: str = "",
) -> None:
    """Print what was acknowledged, what the bucket has, and the differences."""
    report = Report(out)
    bodies = photos(data)
    chosen = durability.split(",") if isinstance(durability, str) else durability
    for promise in chosen:
        kinds = Faults(rate=faults, seed=kills)
        with tempfile.TemporaryDirectory() as name, Bucket(store, kinds) as bucket:
            words = ["--durability", promise, *bucket.flags, *shlex.split(flags)]
            words += ["--spool", str(Path(name, "spool.sqlite"))] if promise == "spool" else []
            sent = Sent(bodies)
            draw = random.Random(0)
            for turn in range(kills):
                with serving(*words, env=bucket.env) as server:
                    delay = seconds * draw.uniform(0.5, 1.5)
                    asyncio.run(_load_and_kill(server, sent, connections, delay))
                print(f"\r{promise}: kill {turn + 1} of {kills}", end="", file=sys.stderr)
            print(file=sys.stderr)
            with serving(*words, env=bucket.env) as server:
                deadline = time.monotonic() + _PATIENCE
                while missing(sent, bucket) and time.monotonic() < deadline:
                    time.sleep(0.5)
                code = server.stop()
            counts = statuses([answer for answer, _ in sent.answers])
            report.say(f"{promise}", f"{kills} kills, answers {counts}", **counts)
            report.say("faults", str(dict(kinds.injected)), **kinds.injected)
            report.bound("exit code in the end", abs(code), 0)
            compare(report, sent, bucket)
    report.finish()


async def _load_and_kill(server: Server, sent: Sent, connections: int, delay: float) -> None:
    first = len(sent.hashes)
    traffic = sent.traffic(server.port)
    work = asyncio.create_task(traffic.closed_loop(connections))
    await asyncio.sleep(delay)
    server.kill()
    traffic.stop()
    await work
    sent.note(traffic, first)


if __name__ == "__main__":
    fire.Fire(main)
