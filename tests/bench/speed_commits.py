"""Two installations of ``flowers`` side by side: which one takes longer, and what each imports.

    python tests/bench/speed_commits.py OLD NEW [PHOTOS] [--turns 30] [--folder_turns 10]

OLD and NEW are ``flowers`` executables, each in an environment of its own with the same versions
of everything else. A photo in a new process, ``--version`` and, if it is given, the folder PHOTOS
are measured in pairs of old and new, whose order alternates, so that a busy moment of the machine
hits both alike. A ratio is new / old of one pair, by wall time and by CPU time (user and system):
median, and range of all pairs; for the folder also that of the photos a second, new / old. Then
come the modules that ``import flowers_onnx`` and ``flowers classify`` load.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import fire

_SAMPLE = Path(__file__).parent.parent.parent / "docs" / "sample" / "dahlia.jpg"

_IMPORT = """
import sys
before = set(sys.modules)
import flowers_onnx
open({path!r}, "w").write(" ".join(sorted(set(sys.modules) - before)))
"""
#: The program leaves by ``os._exit``; just before, the names of its modules are written.
_CLASSIFY = """
import os, sys
before, leave = set(sys.modules), os._exit
def told(code):
    with open({path!r}, "w") as file:
        file.write(" ".join(sorted(set(sys.modules) - before)))
    leave(code)
os._exit = told
sys.argv = ["flowers", "classify", {photo!r}]
from flowers_onnx.__main__ import entry
entry()
"""


@dataclass(frozen=True)
class _Taken:
    wall: float
    cpu: float


def main(old: str, new: str, photos: str = "", *, turns: int = 30, folder_turns: int = 10) -> None:
    """Print milliseconds of both, the ratios, and the modules."""
    sides = (os.path.abspath(old), os.path.abspath(new))
    print(f"{'new / old':<19} {'':4} {'old':>10} {'new':>10}   ratio")
    _pairs("classify, a photo", sides, ["classify", str(_SAMPLE)], turns)
    _pairs("--version", sides, ["--version"], turns)
    if photos:
        words = ["classify", photos, "--format", "jsonl"]
        taken = _pairs("classify, a folder", sides, words, folder_turns)
        rates = [one.wall / other.wall for one, other in taken]
        print(f"{'photos a second':<46}   {_ratio(rates)}")
    for title, program in {"import flowers_onnx": _IMPORT, "flowers classify": _CLASSIFY}.items():
        _print_modules(title, *(_modules(side, program) for side in sides))


def _pairs(
    title: str, sides: tuple[str, str], words: list[str], turns: int
) -> list[tuple[_Taken, _Taken]]:
    """What old and new took in each turn; the first one fills the page cache and isn't counted."""
    taken = []
    for turn in range(turns + 1):
        first = turn % 2  # who is first has the colder cache
        found = {which: _run([sides[which], *words]) for which in (first, 1 - first)}
        if turn:
            taken.append((found[0], found[1]))
    for kind in ("wall", "cpu"):
        times = [[getattr(one, kind) for one in pair] for pair in taken]
        before, after = (1e3 * statistics.median(side) for side in zip(*times, strict=True))
        ratios = [new / old for old, new in times]
        print(f"{title:<19} {kind:4} {before:7.1f} ms {after:7.1f} ms   {_ratio(ratios)}")
    return taken


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})"


def _run(command: list[str]) -> _Taken:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment()
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:  # 1: a photo of the folder is broken
        raise SystemExit(f"{command} failed with {process.returncode}")
    return _Taken(wall, usage.ru_utime + usage.ru_stime)


def _environment() -> dict[str, str]:
    """Without what would take the place of the installed program, such as PYTHONPATH."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLOWERS"))}


def _modules(flowers: str, program: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "modules")
        text = program.format(path=path, photo=str(_SAMPLE))
        command = [os.path.join(os.path.dirname(flowers), "python"), "-I", "-c", text]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())
        return Path(path).read_text().split()


def _print_modules(title: str, old: list[str], new: list[str]) -> None:
    """How many are loaded; the program's own by name, of all others what only one side loads."""
    print(f"\n{title}: {len(old)} modules before, {len(new)} now")
    for name, modules in {"before": old, "now": new}.items():
        own = [module for module in modules if module.partition(".")[0] == "flowers_onnx"]
        print(f"  own, {name} ({len(own)}): {' '.join(own)}")
    for name, one, other in (("before", old, new), ("now", new, old)):
        only = [m for m in one if m not in other and m.partition(".")[0] != "flowers_onnx"]
        print(f"  others only {name}: {' '.join(only) or 'none'}")


if __name__ == "__main__":
    fire.Fire(main)
