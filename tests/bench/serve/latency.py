"""Latency below and far above what the server can do, by an open loop.

    PYTHONPATH=tests python tests/bench/serve/latency.py [PHOTOS] [--seconds 60] [--rounds 3]
        [--load 0.8] [--overload 10] [--slots 2] [--flags="--queue 4"] [--server_cpus 0,1]
        [--client_cpus 0,1] [--durability strict] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. A closed loop that keeps all slots
busy finds the capacity; the service time is what a photo takes then, slots / capacity. An open
loop sends at ``--load`` and at ``--overload`` times the capacity, at random (Poisson) moments
that were drawn before, and latency counts from those moments. Beside it another process asks
/livez 20 times a second. The clients share the CPUs unless they are pinned: "late" is how long
after its moment a request was sent, and it is in the latency. "a queue's" p99 is that of an
endless queue before so many slots, if each photo took the service time: no server that refuses
nobody can be better.
"""

from __future__ import annotations

import heapq
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fire
import numpy as np
from capacity import places
from figures import Report, line, milliseconds, percentiles, statuses
from pictures import photos, write_probe, write_requests
from serving import Server, serving
from traffic import Answer, Job, answers_of, arrivals, run, start

_PROBES = 20  # a second


@dataclass
class Found:
    """One run of the open loop."""

    answers: list[Answer]
    probes: list[Answer]
    cpu: float

    def of(self, status: int) -> np.ndarray:
        """The latencies of the answers with this status, in milliseconds."""
        return milliseconds([answer for answer in self.answers if answer.status == status])

    @property
    def late(self) -> np.ndarray:
        """How long after its moment each request was sent, in milliseconds."""
        return np.array([(answer.sent - answer.due) * 1e3 for answer in self.answers])


def main(
    data: str = "",
    *,
    seconds: float = 60,
    rounds: int = 3,
    load: float = 0.8,
    overload: float = 10,
    slots: int = 0,
    durability: str = "",
    flags: str = "",
    server_cpus: int | Sequence[int] = (),
    client_cpus: int | Sequence[int] = (),
    out: str = "",
) -> None:
    """Print percentiles, refusals, and the bounds that are promised."""
    report = Report(out)
    mine = list(_numbers(client_cpus))
    theirs = _numbers(server_cpus)
    everything = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requests = write_requests(folder / "requests", photos(data))
        probe = write_probe(folder / "probe")
        if theirs:
            os.sched_setaffinity(0, theirs)
            everything = set(theirs)
        slots = slots or len(everything)
        words = ["--slots", str(slots), *shlex.split(flags), *places(folder, durability)]
        with serving(*words) as server:
            os.sched_setaffinity(0, mine or range(os.cpu_count() or 1))
            # Two more than there are slots: none is idle, and nobody is refused.
            job = Job(server.port, requests, connections=slots + 2, cpus=mine)
            run(_with(job, count=100))  # warms up
            alone = run(_with(job, connections=1, count=200))
            below, above = list[Found](), list[Found]()
            capacities = list[float]()
            for turn in range(rounds):
                closed = run(_with(job, seconds=max(2, seconds / 4)))
                took = max(a.done for a in closed) - min(a.sent for a in closed)
                capacities.append(sum(a.status == 200 for a in closed) / took)
                for share, kept in ((load, below), (overload, above)):
                    rate = share * capacities[-1]
                    opened = _with(job, rate=rate, seconds=seconds, seed=turn)
                    kept.append(_open(server, opened, probe))
                print(f"\rround {turn + 1} of {rounds}", end="", file=sys.stderr)
            print(file=sys.stderr)
    capacity = statistics.median(capacities)
    service = slots / capacity * 1e3
    report.say("alone", line(percentiles(milliseconds(alone))) + " ms")
    text = f"{capacity:.1f}/s, {slots} slots: service time {service:.2f} ms"
    report.say("capacity", text, capacity=capacity, service_ms=service, slots=slots)
    _below(report, below, service, slots, load)
    _above(report, above, service, slots, overload)
    report.finish()


def _below(report: Report, found: list[Found], service: float, slots: int, load: float) -> None:
    name = f"at {load:.0%}"
    answered = percentiles(np.concatenate([one.of(200) for one in found]))
    report.say(f"{name}: answered", line(answered) + " ms", **answered)
    _others(report, name, found)
    ideal = _queue(load, service / 1e3, slots)
    report.say(f"{name}: a queue's", line(ideal) + " ms", **ideal)
    report.bound(f"{name}: p99 / service", answered["p99"] / service, 3)


def _above(report: Report, found: list[Found], service: float, slots: int, overload: float) -> None:
    name = f"at {overload:g}x"
    answered = percentiles(np.concatenate([one.of(200) for one in found]))
    report.say(f"{name}: answered", line(answered) + " ms", **answered)
    refused = np.concatenate([one.of(429) for one in found])
    if len(refused):
        report.say(f"{name}: refused", line(percentiles(refused)) + " ms", **percentiles(refused))
    _others(report, name, found)
    report.bound(f"{name}: p99 / service / slots", answered["p99"] / service / slots, 4)
    if len(refused):
        report.bound(f"{name}: refusals' p50 ms", float(np.median(refused)), 20)
        unsaid = [
            answer
            for one in found
            for answer in one.answers
            if answer.status in (429, 503) and not answer.retry_after
        ]
        report.bound(f"{name}: no Retry-After", len(unsaid), 0)
    probes = percentiles(np.concatenate([one_probe(one) for one in found]))
    report.bound(f"{name}: /livez p99 ms", probes["p99"], 100)


def _others(report: Report, name: str, found: list[Found]) -> None:
    everything = [answer for one in found for answer in one.answers]
    counts = statuses(everything)
    share = counts.get("429", 0) / len(everything)
    report.say(f"{name}: statuses", f"{counts}, {share:.1%} refused", **counts)
    probes = percentiles(np.concatenate([one_probe(one) for one in found]))
    failed = sum(probe.status != 200 for one in found for probe in one.probes)
    report.say(f"{name}: /livez", f"{line(probes)} ms, {failed} failed", **probes, failed=failed)
    late = percentiles(np.concatenate([one.late for one in found]))
    report.say(f"{name}: late", line(late) + " ms", **late)
    cpu = sum(one.cpu for one in found) * 1e3 / len(everything)
    report.say(f"{name}: CPU", f"{cpu:.2f} ms a request", cpu_ms=cpu)


def one_probe(found: Found) -> np.ndarray:
    """The latencies of /livez; a probe without an answer counts with the time that it waited."""
    return milliseconds(found.probes)


def _open(server: Server, job: Job, probe: str) -> Found:
    prober = Job(
        server.port, probe, rate=_PROBES, seconds=job.seconds, gaps="even", cpus=job.cpus
    )  # fmt: skip
    used = server.cpu()
    running = start(prober)
    answers = run(job)
    probes = answers_of(running)
    return Found(answers, probes, server.cpu() - used)


def _queue(load: float, service: float, slots: int) -> dict[str, float]:
    """Percentiles, in ms, of an endless queue: Poisson arrivals, ``service`` seconds for each."""
    rate = load * slots / service
    free, found = [0.0] * slots, []
    for due in arrivals(rate, 100_000 / rate):
        begins = max(due, heapq.heappop(free))
        heapq.heappush(free, begins + service)
        found.append((begins + service - due) * 1e3)
    return percentiles(found)


def _with(job: Job, **changes: object) -> Job:
    return Job(**{**vars(job), **changes})


def _numbers(cpus: int | Sequence[int]) -> Sequence[int]:
    return [cpus] if isinstance(cpus, int) else cpus


if __name__ == "__main__":
    fire.Fire(main)
