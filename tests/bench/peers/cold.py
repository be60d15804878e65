"""One file in a new process: this program beside other command lines that carry a small model.

    python tests/bench/peers/cold.py FOLDER [--runs 20] [--rembg .venv-rembg/bin/rembg]
        [--photo FILE]

``FOLDER`` is that of peer_files.py. ``magika`` (another network, another task: the type of a
file) is here as the closest command line in kind, in its Rust and its Python client;
``rembg --version`` loads no model at all. Whole processes take turns.
"""

from __future__ import annotations

import sys
from pathlib import Path

import engines
import fire
import numpy as np
from programs import interleave
from ratios import markdown, ratio_text

HERE = Path(__file__).parent
BASE = "flowers classify"


def main(folder: str, *, runs: int = 20, rembg: str = "", photo: str = "") -> None:
    """Print a Markdown table."""
    photo = photo or str(engines.ROOT / "docs" / "sample" / "dahlia.jpg")
    python, commands = sys.executable, Path(sys.executable).parent
    flowers = str(commands / "flowers")
    litert = engines.model_file("litert-int8", Path(folder))
    bare = [str(HERE.parent / "bare.py"), str(engines.model_file("flowers", Path(folder)))]
    programs = {
        BASE: [flowers, "classify", photo],
        "bare script, onnxruntime": [python, *bare, photo],
        "bare script, LiteRT": [python, str(HERE / "bare_litert.py"), str(litert), photo],
        "magika, Python client": [python, "-m", "magika.cli.magika_client", photo],
        "magika, Rust client": [str(commands / "magika"), photo],
        "flowers --version": [flowers, "--version"],
        "python -c pass": [python, "-c", "pass"],
    }
    if rembg:
        programs["rembg --version"] = [rembg, "--version"]
    measured = interleave(programs, runs)
    rows = [
        [
            name,
            f"{np.median(found.wall):.3f}",
            ratio_text(found.wall, measured[BASE].wall),
            f"{np.median(found.cpu):.3f}",
            f"{found.peak_mb:.0f}",
        ]
        for name, found in measured.items()
    ]
    header = ["program", "seconds", f"/ {BASE}", "CPU seconds", "peak MB"]
    print(markdown(header, rows))


if __name__ == "__main__":
    fire.Fire(main)
