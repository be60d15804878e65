"""The same classifier and photos behind other servers for models, beside ``flowers serve``.

    PYTHONPATH=tests:tests/bench/serve python tests/bench/peers/serving_peers.py [PHOTOS]
        [--litserve .venv-litserve] [--bentoml .venv-bentoml] [--rounds 15] [--requests 400]
        [--connections 4] [--only flowers,litserve] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. Each peer runs as its documentation
recommends, in the environment that is named, which needs the peer and this program's
dependencies. A closed loop sends ``--requests`` photos to each server in turns; CPU, PSS and
processes are those of all that a server has started. A ratio is the median over the turns, with
its 95 % interval.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import fire
from figures import Report, milliseconds, percentiles, statuses
from pictures import photos
from ratios import markdown, ratio, ratio_text
from serving import Memory, Server, multipart, request, serving
from traffic import Job, run

from flowers_onnx.machine import allowed_cpus

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
BASE = "flowers"
#: Where a peer takes a form, and the name of its file.
_FORMS = {"litserve": ("/predict", "request"), "bentoml": ("/classify", "photo")}
_FORM = "multipart/form-data; boundary=boundary"


@dataclass
class Peer:
    """A server, where its photos go, and how it did."""

    server: Server
    requests: str
    cpu_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    processes: int = 0


def main(
    data: str = "",
    *,
    litserve: str = "",
    bentoml: str = "",
    rounds: int = 15,
    requests: int = 400,
    connections: int = 4,
    only: str | Sequence[str] = "",
    out: str = "",
) -> None:
    """Print a Markdown table, and the ratios to ``flowers serve``."""
    report = Report(out)
    bodies = photos(data)
    asked = only.split(",") if isinstance(only, str) else list(only)
    programs = {"litserve": litserve, "bentoml": bentoml}
    names = [BASE, *(name for name, place in programs.items() if place)]
    names = [name for name in names if name == BASE or name in asked or not any(asked)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        peers = {
            name: Peer(
                stack.enter_context(_server(name, programs.get(name, ""))),
                _write(Path(folder, name), name, bodies),
            )
            for name in names
        }
        for turn in range(rounds + 1):
            for name, peer in peers.items():
                _turn(name, peer, requests, connections, counts=turn > 0)
            print(f"\rround {turn} of {rounds}", end="", file=sys.stderr)
        print(file=sys.stderr)
    print(_table(peers))
    for name, peer in peers.items():
        report.say(
            name,
            f"{statistics.median(peer.cpu_ms):.2f} CPU ms, {statistics.median(peer.rate):.0f}/s",
            cpu_ms=peer.cpu_ms,
            rate=peer.rate,
            memory=peer.memory,
            processes=peer.processes,
        )
    base = peers[BASE]
    for name, peer in peers.items():
        if name != BASE:
            cpu, *_ = ratio(base.cpu_ms, peer.cpu_ms)
            report.bound(f"CPU / {name}", cpu, 1)
            memory, *_ = ratio([m.pss for m in base.memory], [m.pss for m in peer.memory])
            report.bound(f"PSS / {name}", memory, 1)
    report.finish()


def _server(name: str, place: str) -> AbstractContextManager[Server]:
    if name == BASE:
        return serving()
    env = {"PYTHONPATH": str(ROOT)}
    if name == "litserve":
        python, script = Path(place, "bin", "python"), HERE / "serve_litserve.py"
        words: list[str | Path] = [python, script, "{port}", str(allowed_cpus())]
        return serving(command=words, env=env, ready="/health")
    words = [Path(place, "bin", "bentoml"), "serve", f"{HERE / 'serve_bentoml.py'}:Flowers"]
    words += ["--port", "{port}", "--host", "127.0.0.1"]
    return serving(command=words, env=env | {"BENTOML_DO_NOT_TRACK": "True"}, ready="/readyz")


def _turn(name: str, peer: Peer, count: int, connections: int, *, counts: bool) -> None:
    used = peer.server.cpu()
    answers = run(Job(peer.server.port, peer.requests, count=count, connections=connections))
    used = peer.server.cpu() - used
    if any(answer.status != 200 for answer in answers):
        raise SystemExit(f"serving_peers.py: {name}: {statuses(answers)}")
    if not counts:  # the first turn warms up
        return
    seconds = max(answer.done for answer in answers) - min(answer.sent for answer in answers)
    peer.cpu_ms.append(used * 1e3 / count)
    peer.rate.append(count / seconds)
    peer.ms.extend(milliseconds(answers))
    peer.memory.append(peer.server.memory())
    peer.processes = len(peer.server.pids())


def _write(folder: Path, name: str, bodies: list[bytes]) -> str:
    folder.mkdir()
    for number, body in enumerate(bodies):
        data = request(body)
        if name in _FORMS:
            path, part = _FORMS[name]
            form = multipart([("photo.jpg", body)], field=part)
            data = request(form, path, content_type=_FORM)
        (folder / f"{number:05}").write_bytes(data)
    return str(folder)


def _table(peers: Mapping[str, Peer]) -> str:
    base = peers[BASE]
    rows = []
    for name, peer in peers.items():
        marks = percentiles(peer.ms)
        pss = statistics.median(memory.pss for memory in peer.memory)
        rows.append(
            [
                name,
                f"{statistics.median(peer.cpu_ms):.2f}",
                ratio_text(peer.cpu_ms, base.cpu_ms),
                f"{statistics.median(peer.rate):.0f}",
                ratio_text(peer.rate, base.rate),
                f"{marks['p50']:.1f}",
                f"{marks['p99']:.1f}",
                f"{pss:.0f}",
                str(peer.processes),
            ]
        )
    header = ["server", "CPU ms a photo", f"/ {BASE}", "photos/s", f"/ {BASE}"]
    return markdown([*header, "p50 ms", "p99 ms", "PSS MB", "processes"], rows)


if __name__ == "__main__":
    fire.Fire(main)
