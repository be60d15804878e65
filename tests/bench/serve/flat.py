"""Whether memory, descriptors and temporary files stay flat over many requests.

    PYTHONPATH=tests python tests/bench/serve/flat.py [PHOTOS] [--requests 50000]
        [--samples 50] [--connections 4] [--durability strict] [--flags="--slots 2"] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. Most requests are photos; some are
forms of several files, no images, too large, unknown paths, and uploads whose client leaves half
way. Between ``--samples`` blocks of them the server is looked at. The slope is that of a line
through the second half of the samples, since allocators fill up first.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import fire
import numpy as np
from capacity import places
from figures import Report, statuses
from pictures import photos
from serving import Server, multipart, request, serving
from traffic import Job, run

_FORM = "multipart/form-data; boundary=boundary"
#: Growth that is none: of the fit, in MB for 10,000 requests.
_MEGABYTES = 1.0


class Sample(NamedTuple):
    """What the server holds after so many requests; memory in MB."""

    requests: int
    pss: float
    rss: float
    descriptors: int
    files: int


def main(
    data: str = "",
    *,
    requests: int = 50_000,
    samples: int = 50,
    connections: int = 4,
    durability: str = "",
    flags: str = "",
    out: str = "",
) -> None:
    """Print what the server held before, after, and how it grew."""
    report = Report(out)
    bodies = photos(data)
    block = max(1, requests // samples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mixed = _write(folder / "requests", bodies)
        words = ["--max_body", str(2 << 20), *shlex.split(flags), *places(folder, durability)]
        with serving(*words) as server:
            # Two blocks, or 1,000: the first sample is that of a warm server.
            warm = min(2 * block, 1000)
            run(Job(server.port, mixed, count=warm, connections=connections))
            found, counts = [_look(server, 0)], Counter[str]()
            for number in range(samples):
                job = Job(server.port, mixed, count=block, connections=connections, seed=number)
                counts.update(statuses(run(job)))
                _leave(server, bodies[number % len(bodies)])
                found.append(_look(server, (number + 1) * block))
                print(f"\rblock {number + 1} of {samples}", end="", file=sys.stderr)
            print(file=sys.stderr)
            code = server.stop()
    report.say("statuses", str(dict(counts)), **counts)
    report.say("exit code", str(code))
    report.say("samples", f"{len(found)}", rows=[sample._asdict() for sample in found])
    for title, sample in (("before", found[0]), ("after", found[-1])):
        text = f"{sample.pss:.1f} MB PSS, {sample.rss:.1f} MB RSS, {sample.descriptors}"
        report.say(title, f"{text} descriptors, {sample.files} temporary files")
    half = found[len(found) // 2 :]
    at = [sample.requests for sample in half]
    slope = float(np.polyfit(at, [sample.pss for sample in half], 1)[0]) * 10_000
    report.bound("MB PSS / 10,000 requests", slope, _MEGABYTES)
    more = max(sample.descriptors for sample in half) - found[0].descriptors
    report.bound("descriptors more", more, connections + 2)
    report.bound("temporary files more", found[-1].files - found[0].files, 0)
    report.finish()


def _write(folder: Path, bodies: list[bytes]) -> str:
    """Twenty requests for each photo, as a mixed day has them."""
    folder.mkdir()
    form = multipart([("a.jpg", bodies[0]), ("b.jpg", b"no image"), ("../c.jpg", bodies[-1])])
    odd = [
        request(form, content_type=_FORM),
        request(b"no image"),
        request(bodies[0][: len(bodies[0]) // 2]),
        request(b"", content_length=str(1 << 30), connection="close"),
        request(b"", "/nowhere", "GET"),
        request(form[:-20], content_type=_FORM),
        request(bodies[0], "/v1/classify?top_k=0"),
        request(b"", "/openapi.json", "GET"),
    ]
    for number, body in enumerate(bodies):
        data = odd[number % 20] if number % 20 < len(odd) else request(body)
        (folder / f"{number:05}").write_bytes(data)
    return str(folder)


def _leave(server: Server, body: bytes) -> None:
    """Clients that go away within a body, within a header, and before their answer."""
    whole = request(body)
    for piece in (whole[:-100], whole[:20], whole):
        with contextlib.suppress(OSError), server.connect() as connection:
            connection.sendall(piece)


def _look(server: Server, requests: int) -> Sample:
    time.sleep(0.3)  # connections of clients that have left are closed by then
    memory = server.memory()
    return Sample(
        requests,
        round(memory.pss, 2),
        round(memory.rss, 2),
        server.descriptors(),
        server.temporary_files(),
    )


if __name__ == "__main__":
    fire.Fire(main)
