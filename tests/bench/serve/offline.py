"""The library without a server, for comparison: photos by ``classify_many``, in blocks.

python tests/bench/serve/offline.py FOLDER

Each line on stdin, a number of photos, is answered by a line ``[wall seconds, CPU seconds]``.
The photos of FOLDER are read before, since a server reads none either.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

from flowers_onnx import Classifier


def main(folder: str) -> None:
    """Answer until the end of stdin."""
    photos = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    turns = itertools.cycle(photos)
    classifier = Classifier()
    print("ready", flush=True)
    for line in sys.stdin:
        block = list(itertools.islice(turns, int(line)))
        started, used = time.perf_counter(), time.process_time()
        failed = sum(not result.ok for result in classifier.classify_many(block))
        taken = time.perf_counter() - started, time.process_time() - used
        if failed:
            sys.exit(f"{failed} photos have no answer")
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
