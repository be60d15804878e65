"""What a request costs beside the same photos through ``classify_many``, and how many go through.

    PYTHONPATH=tests python tests/bench/serve/capacity.py [PHOTOS] [--rounds 15] [--requests 400]
        [--connections 4] [--client wrk|own] [--durability best-effort|spool|strict]
        [--flags="--slots 2"] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. The server and the library take turns
on the same photos, ``--requests`` of them each time, in processes that are both warm; ratios are
the medians over the turns. CPU is that of the whole server, by its own clock; the client's share
of the machine (wrk's is least) is in the server's requests a second, and not in the library's.
``--durability`` keeps photos and rows, in folders of this machine.
"""

from __future__ import annotations

import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Self

import fire
from figures import Report, medians
from pictures import photos, write_requests
from serving import Server, serving
from traffic import Job, run
from wrk import wrk

OFFLINE = Path(__file__).with_name("offline.py")


class Turn(NamedTuple):
    """Of one block: CPU milliseconds a photo, and photos a second."""

    cpu_ms: float
    rate: float


def main(
    data: str = "",
    *,
    rounds: int = 15,
    requests: int = 400,
    connections: int = 4,
    client: str = "",
    durability: str = "",
    flags: str = "",
    out: str = "",
) -> None:
    """Print CPU ms a request, requests a second, and their ratios."""
    client = client or ("wrk" if shutil.which("wrk") else "own")
    report = Report(out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = photos(data)
        sent = write_requests(folder / "requests", bodies)
        plain = folder / "photos"
        plain.mkdir()
        for number, body in enumerate(bodies):
            (plain / f"{number:05}").write_bytes(body)
        words = [*shlex.split(flags), *places(folder, durability)]
        with serving(*words) as server, Library(plain) as library:
            ours, theirs = list[Turn](), list[Turn]()
            for turn in range(rounds + 1):
                base = library.turn(requests)
                if client == "wrk":
                    seconds = max(1, round(requests / base.rate))
                    own = by_wrk(server, plain, connections, seconds)
                else:
                    own = by_hand(server, sent, connections, requests)
                if turn:  # the first one warms up
                    ours.append(own)
                    theirs.append(base)
                print(f"\rturn {turn} of {rounds}", end="", file=sys.stderr)
            print(file=sys.stderr)
            memory = server.memory()
    size = statistics.mean(map(len, bodies)) / 1e3
    report.say("photos", f"{len(bodies)}, {size:.0f} kB; {client}, {connections} connections")
    for name, turns in (("flowers serve", ours), ("classify_many", theirs)):
        cpu = statistics.median(turn.cpu_ms for turn in turns)
        rate = statistics.median(turn.rate for turn in turns)
        text = f"{cpu:.2f} CPU ms a photo, {rate:.1f} photos/s"
        report.say(name, text, turns=turns, cpu_ms=cpu, rate=rate)
    report.say("memory", f"{memory.pss:.0f} MB PSS, {memory.rss:.0f} MB RSS", **memory._asdict())
    pairs = list(zip(ours, theirs, strict=True))
    report.bound("CPU / classify_many", medians([(a.cpu_ms, b.cpu_ms) for a, b in pairs]), 1.10)
    rates = medians([(a.rate, b.rate) for a, b in pairs])
    report.bound("rate / classify_many", rates, 0.92, least=True)
    report.finish()


def places(folder: Path, durability: str) -> list[str]:
    """The flags that keep photos and rows in ``folder``, as safe as that; none for ""."""
    if not durability:
        return []
    words = ["--keep", str(folder / "keep"), "--trace", str(folder / "trace")]
    words += ["--durability", durability]
    return [*words, "--spool", str(folder / "spool.sqlite")] if durability == "spool" else words


def by_hand(server: Server, requests: str, connections: int, count: int) -> Turn:
    """A closed loop of exactly ``count`` requests."""
    used = server.cpu()
    answers = run(Job(server.port, requests, count=count, connections=connections))
    used = server.cpu() - used
    if any(answer.status != 200 for answer in answers):
        raise SystemExit("capacity.py: refused; fewer --connections are needed")
    seconds = max(answer.done for answer in answers) - min(answer.sent for answer in answers)
    return Turn(used * 1e3 / count, count / seconds)


def by_wrk(server: Server, photos: Path, connections: int, seconds: int) -> Turn:
    """A closed loop for ``seconds``."""
    used = server.cpu()
    count, rate = wrk(server.url, photos, connections, seconds)
    time.sleep(0.05)  # what was under way when wrk left
    return Turn((server.cpu() - used) * 1e3 / count, rate)


class Library:
    """offline.py, which answers when its turn comes."""

    def __init__(self, photos: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(OFFLINE), str(photos)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._line()  # ready
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def turn(self, count: int) -> Turn:
        assert self._process.stdin
        print(count, file=self._process.stdin, flush=True)
        wall, cpu = json.loads(self._line())
        return Turn(cpu * 1e3 / count, count / wall)

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


if __name__ == "__main__":
    fire.Fire(main)
