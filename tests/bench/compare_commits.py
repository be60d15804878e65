"""What two installations of ``flowers`` say and write, side by side, to the byte.

    PYTHONPATH=tests python tests/bench/compare_commits.py OLD NEW [--only TEXT] [--jobs 2]

OLD and NEW are ``flowers`` executables, each in an environment of its own (``pip install
'DIR[parquet]'``, the same versions of everything else, no other extra). Both run the same commands
in a folder of the same name, on the same 200 odd files, odd names and odd lists: exit codes, both
streams and all files are compared, and the files' permissions. What differs between two runs of
one program is made the same first (``commits/masks.py``): ids of runs, times, speeds, process ids.
Each difference is printed; the last line counts, and the exit code is 1 if there is one. OLD beside
OLD must have none. ``--only`` takes the cases whose name has TEXT in it.

For a Python with this repository's [dev] extra.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from pathlib import Path

import fire
from bench.commits import batches, inputs, photos, reports, streams, words
from bench.commits.steps import Case, Installation, Seen, play

_LINES = 8
_WIDTH = 160


@dataclass(frozen=True)
class _Compared:
    case: Case
    commands: int
    outputs: int
    differences: list[str]


def main(old: str, new: str, *, only: str = "", jobs: int = 0) -> None:
    """Print what differs, and how much was compared."""
    started = time.monotonic()
    sides = (Installation("old", Path(old).absolute()), Installation("new", Path(new).absolute()))
    for side in sides:
        print(f"{side.name}: {side.package}")
    with tempfile.TemporaryDirectory(prefix="flowers-") as name:
        place = Path(name)
        given = place / "in"
        inputs.make(given, sides)
        parts = (words, photos, streams, batches, reports)
        cases = [case for part in parts for case in part.cases(given) if str(only) in case.name]
        if len({case.name for case in cases}) != len(cases):
            raise SystemExit("compare_commits.py: two cases of one name")
        with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
            compared = []
            for one in pool.map(lambda case: _compare(case, sides, place), cases):
                print("".join(one.differences), end="", flush=True)
                compared.append(one)
    differing = sum(1 for one in compared if one.differences)
    print(
        f"{len(compared)} cases, {sum(one.commands for one in compared)} commands, "
        f"{sum(one.outputs for one in compared)} outputs compared in "
        f"{time.monotonic() - started:.0f} s: {sum(len(one.differences) for one in compared)} "
        f"differ, in {differing} cases"
    )
    sys.exit(1 if differing else 0)


def _compare(case: Case, sides: tuple[Installation, ...], place: Path) -> _Compared:
    old, new = (play(case, side, sides, place / "run") for side in sides)
    differences, outputs = [], 0
    for number, ((step, before), (_, after)) in enumerate(zip(old, new, strict=True), 1):
        names = sorted(before.keys() | after.keys())
        outputs += len(names)
        found = [line for name in names for line in _difference(name, before, after)]
        if found:
            head = f"\n== {case.name}, command {number}: {step}"
            text = "\n".join([head, *found, ""])
            differences.append(text.replace(str(place), "<place>"))
    return _Compared(case, len(old), outputs, differences)


def _difference(name: str, before: Seen, after: Seen) -> Iterator[str]:
    old, new = before.get(name), after.get(name)
    if name == "hung":  # also where both did
        yield "   hung"
    if old == new:
        return
    if old is None or new is None:
        yield f"   {name}: only of the {'old' if new is None else 'new'} one"
        return
    a, b = (_lines(content) for content in (old, new))
    yield f"   {name}:"
    lines = (
        line for line in unified_diff(a, b, n=0, lineterm="") if line[:3] not in ("---", "+++")
    )
    shown = list(islice((line for line in lines if not line.startswith("@@")), _LINES + 1))
    at = _first_difference(*(next((line[1:] for line in shown if line[0] == c), "") for c in "-+"))
    yield from (f"      {line[0]} {_cut(line[1:], at)}" for line in shown[:_LINES])
    if len(shown) > _LINES:
        yield "      ..."


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "backslashreplace").split("\n")


def _first_difference(one: str, other: str) -> int:
    """Where two long lines begin to differ."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)


def _cut(line: str, at: int) -> str:
    start = max(0, at - _WIDTH // 2) if len(line) > _WIDTH else 0
    part = line[start : start + _WIDTH]
    return f"{'...' if start else ''}{part}{'...' if start + _WIDTH < len(line) else ''}"


if __name__ == "__main__":
    fire.Fire(main)
