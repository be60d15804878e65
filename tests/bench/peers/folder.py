"""Folder throughput, files to labels: this program beside a script around each other runtime.

    python tests/bench/peers/folder.py FOLDER PHOTOS [--repeat 3] [--workers 2] [--turns 5]
        [--only a,b]

``FOLDER`` is that of peer_files.py, ``PHOTOS`` a folder of JPEGs, given ``--repeat`` times to
every program. Whole processes take turns. ``photos/s`` counts everything, loading included;
``steady`` leaves out what a run on the folder given once takes, and so all of the loading.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import engines
import fire
import numpy as np
from programs import interleave
from ratios import markdown, ratio_text

HERE = Path(__file__).parent
BASE = "flowers"
#: Keras' own ways take a quarter of a second a photo; its compiled function stands for it.
_SLOW = {"keras-predict", "keras-call"}


def main(
    folder: str,
    photos: str,
    *,
    repeat: int = 3,
    workers: int = 2,
    turns: int = 5,
    only: str | Sequence[str] = "",
) -> None:
    """Print a Markdown table."""
    chosen = only.split(",") if isinstance(only, str) else list(only)
    names = [name for name in chosen if name] or list(engines.ENGINES.keys() - _SLOW)
    count = len(list(Path(photos).rglob("*.jpg")))
    script = [sys.executable, str(HERE / "folder_peer.py")]
    flowers = [str(Path(sys.executable).with_name("flowers")), "classify"]
    commands = {
        name: [*script, name, str(workers), folder] for name in sorted(names) if name != BASE
    }
    commands[BASE] = [*flowers, "--format", "jsonl", "--threads", str(workers)]
    once = {f"{name} once": [*command, photos] for name, command in commands.items()}
    often = {name: [*command, *[photos] * repeat] for name, command in commands.items()}
    runs = interleave({**once, **often}, turns)
    rows = []
    for name in sorted(commands, key=lambda name: np.median(runs[name].wall)):
        all_of, part = runs[name], runs[f"{name} once"]
        more = (repeat - 1) * count
        steady = more / (np.median(all_of.wall) - np.median(part.wall))
        cpu = (np.median(all_of.cpu) - np.median(part.cpu)) / more
        rows.append(
            [
                name,
                f"{repeat * count / np.median(all_of.wall):.0f}",
                ratio_text(runs[BASE].wall, all_of.wall),
                f"{steady:.0f}",
                f"{1000 * cpu:.1f}",
                f"{all_of.peak_mb:.0f}",
            ]
        )
    header = ["program", "photos/s", f"speed / {BASE}", "steady photos/s", "CPU ms a photo"]
    header += ["peak MB"]
    print(f"{repeat * count} photos, {workers} workers:\n\n{markdown(header, rows)}")


if __name__ == "__main__":
    fire.Fire(main)
