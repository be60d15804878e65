"""The program without a Python: frozen by PyInstaller, and its commands with an empty environment.

    python tests/bench/frozen.py [--folder build-frozen]

Run it in an environment of its own, with PyInstaller and the wheel in it and no more: what else
is installed becomes part of the program. It prints what each command gave, and the program's size.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fire

ROOT = Path(__file__).parent.parent.parent
PHOTO = str(ROOT / "docs" / "sample" / "dahlia.jpg")
COMMANDS = [
    ["--version"],
    ["info"],
    ["labels"],
    ["classify", PHOTO],
    ["batch", str(Path(PHOTO).parent), "--out", "rows.sqlite"],
    ["report", "rows.sqlite", "--out", "page.html"],
    ["stream"],
    ["benchmark", PHOTO, "--max_seconds", "1", "--warmup", "0"],
    ["serve", "--help"],
    ["keys", "--help"],
    ["trace", "--help"],
    ["beam", "--help"],
]


def main(folder: str = "build-frozen") -> None:
    """Build and run; ends with 1 if a command fails."""
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    entry = "from flowers_onnx.__main__ import entry\n\nentry()\n"
    (place / "program.py").write_text(entry)
    words = ["--noconfirm", "--log-level", "WARN", "--collect-data", "flowers_onnx", "program.py"]
    subprocess.run([sys.executable, "-m", "PyInstaller", *words], cwd=place, check=True)
    program = place / "dist" / "program"
    for used in ("rows.sqlite", "rows.sqlite.run.json", "page.html"):
        (place / used).unlink(missing_ok=True)
    failed = 0
    for command in COMMANDS:
        done = subprocess.run(
            [program / "program", *command],
            cwd=place, env={}, input=b"", capture_output=True, check=False,
        )  # fmt: skip
        last = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()[-1:]
        print(f"{done.returncode}  {' '.join(command)}: {''.join(last)[:100]}")
        failed += done.returncode != 0
    size = sum(path.lstat().st_size for path in program.rglob("*") if path.is_file())
    print(f"{size / 1e6:.0f} MB")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    fire.Fire(main)
