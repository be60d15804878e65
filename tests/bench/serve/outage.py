"""The bucket is down for minutes, under load: memory, refusals, and what comes after.

    PYTHONPATH=tests python tests/bench/serve/outage.py [PHOTOS] [--durability strict]
        [--minutes 5] [--rate 20] [--how unavailable] [--store gs] [--before 20] [--after 60]
        [--flags="--spool_bytes 5000000"] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. An open loop sends photos that are all
different, at ``--rate`` a second. ``--how`` the bucket is down: ``unavailable`` (503 to
everything) or ``refused`` (connections end without an answer). Ten lines or so tell how it went;
then the bucket is compared with what was acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import shlex
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import fire
from fakes.faults import Faults
from figures import Report, statuses
from kept import Bucket, Sent, compare, missing
from pictures import photos
from serving import Server, serving
from traffic import Answer, arrivals

_MEGABYTES = 20
#: For a spool to be shipped.
_PATIENCE = 180
#: After which answers are all good again, in seconds; a store's pauses grow to some.
_RECOVERY = 30


@dataclass
class Course:
    """Samples of the server's memory, in MB, by the time."""

    began: float = 0
    down: float = 0
    up: float = 0
    memory: list[tuple[float, float]] = field(default_factory=list)

    def most(self, first: float, last: float) -> float:
        """The largest sample between two times."""
        return max(pss for at, pss in self.memory if first <= at <= last)


def main(
    data: str = "",
    *,
    durability: str = "strict",
    minutes: float = 5,
    rate: float = 20,
    how: Literal["unavailable", "refused"] = "unavailable",
    store: str = "gs",
    before: float = 20,
    after: float = 60,
    flags: str = "",
    out: str = "",
) -> None:
    """Print answers and memory over time, and what is promised of both."""
    report = Report(out)
    bodies = photos(data)
    faults = Faults(kinds=(how,))
    with tempfile.TemporaryDirectory() as name, Bucket(store, faults) as bucket:
        words = ["--durability", durability, *bucket.flags, *shlex.split(flags)]
        words += ["--spool", str(Path(name, "spool.sqlite"))] if durability == "spool" else []
        sent = Sent(bodies)
        with serving(*words, env=bucket.env) as server:
            course = asyncio.run(_course(server, sent, faults, rate, (before, minutes * 60, after)))
            deadline = time.monotonic() + _PATIENCE
            while missing(sent, bucket) and time.monotonic() < deadline:
                time.sleep(0.5)
            code = server.stop()
        answers = [answer for answer, _ in sent.answers]
        _tell(report, course, answers)
        report.bound("exit code", abs(code), 0)
        compare(report, sent, bucket)
    report.finish()


async def _course(
    server: Server, sent: Sent, faults: Faults, rate: float, seconds: tuple[float, float, float]
) -> Course:
    course = Course(began=time.monotonic())
    traffic = sent.traffic(server.port)
    work = asyncio.create_task(traffic.open_loop(arrivals(rate, sum(seconds))))
    watch = asyncio.create_task(_watch(server, course))
    await asyncio.sleep(seconds[0])
    faults.rate, course.down = 1, time.monotonic()
    await asyncio.sleep(seconds[1])
    faults.rate, course.up = 0, time.monotonic()
    await work
    watch.cancel()
    sent.note(traffic, 0)
    return course


async def _watch(server: Server, course: Course) -> None:
    while True:
        course.memory.append((time.monotonic(), server.memory().pss))
        await asyncio.sleep(0.5)


def _tell(report: Report, course: Course, answers: list[Answer]) -> None:
    end = max(answer.done for answer in answers)
    step = max(5, (end - course.began) / 16)
    marks = [course.began + number * step for number in range(int((end - course.began) / step) + 1)]
    for first, last in itertools.pairwise([*marks, end + 1]):
        counts = statuses([answer for answer in answers if first <= answer.due < last])
        memory = [pss for at, pss in course.memory if first <= at < last]
        state = "down" if course.down < last and first < course.up else "up"
        most = max(memory, default=0)
        report.say(f"{first - course.began:5.0f} s, {state}", f"{most:.1f} MB, {counts}")
    normal = course.most(course.began, course.down)
    report.bound("MB more", course.most(course.down, end) - normal, _MEGABYTES)
    late = [answer for answer in answers if (course.down + course.up) / 2 < answer.due < course.up]
    other = {int(status) for status in statuses(late) if status != "none"} - {200, 429, 503}
    report.say("in the second half", f"{statuses(late)}", **statuses(late))
    lost = sum(answer.status == 0 for answer in answers)
    report.bound("without an answer", lost, 0)
    report.bound("other than 200, 429, 503", len(other), 0)
    unsaid = sum(answer.status in (429, 503) and not answer.retry_after for answer in answers)
    report.bound("refused, no Retry-After", unsaid, 0)
    bad = [a.due for a in answers if a.due > course.up and a.status != 200]
    report.bound("seconds to recover", max(bad, default=course.up) - course.up, _RECOVERY)


if __name__ == "__main__":
    fire.Fire(main)
