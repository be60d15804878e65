"""schemathesis against /openapi.json of the server: whether it keeps what it says.

    PYTHONPATH=tests python tests/bench/serve/schema.py [--examples 200] [--seed 1]
        [--schemathesis PROGRAM] [--out junit.xml]

Needs schemathesis (``pip install schemathesis``; an environment of its own will do, its program
is then named). Bodies of the main route are pictures made here: from the schema alone no photo
would come, and noise counts as valid where a schema says "binary". A key of idempotency is new each
time, unless it is a bad one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fire
from serving import serving

HOOKS = Path(__file__).with_name("schema_hooks.py")


def main(*, examples: int = 200, seed: int = 1, schemathesis: str = "", out: str = "") -> None:
    """Print schemathesis' own report; the exit status is its own."""
    program = schemathesis or str(Path(sys.executable).with_name("schemathesis"))
    with serving("--queue", "64") as server:
        words = [program, "run", f"{server.url}/openapi.json", "--checks", "all"]
        words += ["--max-examples", str(examples), "--seed", str(seed), "--workers", "1"]
        words += ["--report", "junit", "--report-junit-path", out] if out else []
        done = subprocess.run(
            words, env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}, check=False
        )
        if "Traceback" in server.stderr + server.stdout or server.stop():
            sys.exit("the server failed")
    sys.exit(done.returncode)


if __name__ == "__main__":
    fire.Fire(main)
