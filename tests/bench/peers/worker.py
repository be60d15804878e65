"""One engine in a process of its own, which runs when its turn comes.

python tests/bench/peers/worker.py ENGINE THREADS FOLDER PHOTOS

``PHOTOS`` holds uint8 ``[N, S, S, 3]`` without a header. Each line on stdin, ``[first, count,
seconds]``, is answered by a line ``{"ms": [...], "classes": [...], "cpu_ms": float, "peak_mb":
float}``: fewer than ``count`` photos if they take longer than ``seconds``; ``cpu_ms`` is the mean
processor time of a photo, over all threads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import engines
import numpy as np


def main(name: str, threads: str, folder: str, photos: str) -> None:
    """Answer until the end of stdin."""
    # Libraries that write to descriptor 1 would break the protocol.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = engines.load(name, Path(folder), int(threads))
    shape = (engines.SIZE, engines.SIZE, 3)
    size = int(np.prod(shape))
    print("ready", file=answers)
    for line in sys.stdin:
        first, count, seconds = json.loads(line)
        # Read, not mapped: mapped pages would count as this engine's memory.
        images = np.fromfile(photos, np.uint8, count * size, offset=first * size)
        milliseconds, classes = list[float](), list[int]()
        cpu_started, deadline = time.process_time(), time.monotonic() + seconds
        for image in images.reshape(count, *shape):
            started = time.perf_counter_ns()
            probabilities = run(image)
            milliseconds.append((time.perf_counter_ns() - started) / 1e6)
            classes.append(int(probabilities.argmax()))
            if time.monotonic() > deadline:
                break
        answer = {
            "ms": milliseconds,
            "classes": classes,
            "cpu_ms": (time.process_time() - cpu_started) * 1000 / len(classes),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
