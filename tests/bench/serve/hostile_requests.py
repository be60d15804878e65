"""A thousand odd images, and requests that break servers: status, CPU, and what is left behind.

    PYTHONPATH=tests python tests/bench/serve/hostile_requests.py [--images 1000] [--turns 3]
        [--out FILE]

The requests are those of tests/hostile.py, which tests/serve checks without figures. CPU is the
whole server's, by its own clock, from before the request until it is idle again; the least of
``--turns``. An image that is decoded costs what decoding it costs: it is set against the same
image through ``Classifier.result``, in this process.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import fire
import odd_images
from figures import Report
from hostile import cases
from pictures import photos
from serving import Server, serving

from flowers_onnx import Classifier

_MILLISECONDS = 50
#: The server has nothing to do when it has used less than this in a look.
_IDLE = 0.0005


def main(*, images: int = 1000, turns: int = 3, out: str = "") -> None:
    """Print what took most, and what got a status that it shouldn't."""
    report = Report(out)
    with serving("--slots", "1") as server:
        server.classify(photos("")[0])
        _settle(server)
        descriptors, memory = server.descriptors(), server.memory().pss
        _requests(report, server, turns)
        _images(report, server, images)
        time.sleep(3)  # what is refused early lingers for two
        report.bound("descriptors more", server.descriptors() - descriptors, 1)
        report.bound("temporary files", server.temporary_files(), 0)
        report.say("memory", f"{memory:.1f} MB PSS before, {server.memory().pss:.1f} MB after")
        report.bound("tracebacks", (server.stderr + server.stdout).count("Traceback"), 0)
        report.bound("exit code", abs(server.stop()), 0)
    report.finish()


def _requests(report: Report, server: Server, turns: int) -> None:
    found, wrong = dict[str, float](), list[str]()
    statuses = defaultdict[str, set[int]](set)
    for case in cases(photos("")[0]):
        taken = []
        for _ in range(turns):
            used = server.cpu()
            reply = server.raw(case.data, case.method)
            _settle(server)
            taken.append((server.cpu() - used) * 1e3)
            statuses[case.name].add(reply.status if reply else 0)
        found[case.name] = min(taken)
        if not statuses[case.name] <= set(case.statuses):
            wrong.append(f"{case.name}: {statuses[case.name]}, not {case.statuses}")
    for name in sorted(found, key=found.__getitem__)[-5:]:
        report.say(f"most CPU: {name}", f"{found[name]:.1f} ms, {sorted(statuses[name])}")
    report.say("requests", f"{len(found)}", ms=found, statuses=_plain(statuses))
    report.say("wrong statuses", "; ".join(wrong) or "none")
    report.bound("wrong statuses, number", len(wrong), 0)
    report.bound("most CPU ms a request", max(found.values()), _MILLISECONDS)


def _images(report: Report, server: Server, count: int) -> None:
    """``odd_images`` and, of those below 100 kB, as many damaged copies as are wanted."""
    classifier = Classifier()
    codes, refused, ratios = Counter[str](), dict[str, float](), dict[str, float]()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        expected = dict(odd_images.make(Path(folder)))
        for name, data in _damaged(Path(folder), expected, count):
            used = server.cpu()
            reply = server.classify(data)
            _settle(server)
            taken = (server.cpu() - used) * 1e3
            code = "ok" if reply.status == 200 else reply.json["code"]
            codes[code] += 1
            wanted = expected.get(name)
            wrong += wanted is not None and code not in (wanted, *wanted)
            began = time.process_time()
            classifier.result(data)
            alone = (time.process_time() - began) * 1e3
            if code == "ok" or alone > _MILLISECONDS / 2:
                ratios[name] = taken / alone
            else:
                refused[name] = taken
    report.say("images", f"{sum(codes.values())}: {dict(codes)}", **codes)
    report.bound("images: wrong codes", wrong, 0)
    most = max(refused, key=refused.__getitem__)
    report.say("most CPU of those refused", f"{most}, {refused[most]:.1f} ms")
    report.bound("images refused: CPU ms", refused[most], _MILLISECONDS)
    middle = sorted(ratios.values())[len(ratios) // 2]
    report.say("decoded: CPU / library", f"{middle:.2f} at the median of {len(ratios)}")


def _damaged(
    folder: Path, expected: dict[str, odd_images.Expectation], count: int
) -> list[tuple[str, bytes]]:
    found = [(name, (folder / name).read_bytes()) for name in expected]
    small = [data for _, data in found if 100 < len(data) < 100_000]
    for number in range(count - len(found)):
        data = bytearray(small[number % len(small)])
        for step in range(1 + number % 7):
            data[(number * 7919 + step * 104_729) % len(data)] ^= 1 + (number + step) % 255
        found.append((f"damaged again {number}", bytes(data)))
    return found[:count]


def _settle(server: Server) -> None:
    """Wait until it is idle."""
    used = server.cpu()
    while True:
        time.sleep(0.005)
        now = server.cpu()
        if now - used < _IDLE:
            return
        used = now


def _plain(found: dict[str, set[int]]) -> dict[str, list[int]]:
    return {name: sorted(values) for name, values in found.items()}


if __name__ == "__main__":
    fire.Fire(main)
