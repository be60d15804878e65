"""Draw the curves of a training run again.

python export/curves.py run/metrics.json --out run/curves.png
"""

from __future__ import annotations

import json
from pathlib import Path

import fire

from lib.curves import plot_curves


def curves(metrics: str, *, out: str) -> None:
    """Draw the history in ``metrics``, which ``train.py`` writes, as the PNG ``out``."""
    plot_curves(json.loads(Path(metrics).read_text())["history"], Path(out))


if __name__ == "__main__":
    fire.Fire(curves)
