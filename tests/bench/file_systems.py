"""Results where a file system refuses something: they are there, or the message says where.

    python tests/bench/file_systems.py

Each command that writes a file replaces an earlier one while strace lets a system call fail, or,
for root, while the file is mounted by itself. A line each: its exit code, and where the new
results are. Then the command runs once more, undisturbed, and must leave nothing else behind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import fire

from flowers_onnx.tables.reading import read_results

FLOWERS = Path(sys.executable).parent / "flowers"
SAMPLE = Path(__file__).parents[2] / "docs" / "sample" / "dahlia.jpg"

_CHMOD, _SYNC = "chmod,fchmod,fchmodat", "fsync,fdatasync"
_RENAME = "rename,renameat,renameat2"
_FAULTS = [
    (_CHMOD, "EPERM"),
    (_SYNC, "EINVAL"),
    (_SYNC, "ENOSYS"),
    (_SYNC, "EIO"),
    (_RENAME, "EACCES"),
    (_RENAME, "EBUSY"),
    (_RENAME, "EXDEV"),
]


class Case(NamedTuple):
    """A command and what it writes."""

    name: str
    words: Callable[[Path, Path, Path], list[str | Path]]


def _batch(photos: Path, out: Path, _earlier: Path) -> list[str | Path]:
    return ["batch", photos, "--out", out]


def _classify(photos: Path, out: Path, _earlier: Path) -> list[str | Path]:
    return ["classify", photos, "--format", out.suffix[1:], "--out", out]


def _report(_photos: Path, out: Path, earlier: Path) -> list[str | Path]:
    return ["report", earlier, "--out", out]


CASES = [
    *(Case(f"r.{suffix}", _batch) for suffix in ("jsonl", "csv", "parquet", "sqlite")),
    *(Case(f"c.{suffix}", _classify) for suffix in ("jsonl", "json", "csv")),
    Case("page.html", _report),
]


def main() -> None:
    """Print the table; ends with 1 if any result is nowhere."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for calls, error in _FAULTS:
            injected = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
            prefix = ["strace", "-f", "-qq", "-o", os.devnull, *injected]
            wrong += _try_all(Path(name), f"{calls.split(',')[0]}: {error}", _constant(prefix))
        if os.geteuid() == 0:
            wrong += _try_all(Path(name), "mounted by itself", _mounted)
            wrong += _try_all(
                Path(name), "the same, in a folder for reading", lambda out: _mounted(out, "ro")
            )
    sys.exit(1 if wrong else 0)


def _constant(prefix: list[str]) -> Callable[[Path], Sequence[str]]:
    return lambda _out: prefix


def _mounted(out: Path, folder: str = "rw") -> list[str]:
    beside = out.parent.parent / "mounted"
    shutil.copyfile(out, beside)
    script = (
        'mount --bind "$2" "$2" && mount -o remount,bind,$3 "$2" && mount --bind "$1" "$2/$4" '
        '&& shift 4 && exec "$@"'
    )
    unshare = ["unshare", "-m", "sh", "-c", script, "sh"]
    return [*unshare, str(beside), str(out.parent), folder, out.name]


def _try_all(folder: Path, fault: str, prefix: Callable[[Path], Sequence[str]]) -> int:
    wrong = 0
    for case in CASES:
        where, code, told = _try(folder / "work", case, prefix)
        wrong += where is None
        print(f"{fault:36} {case.name:10} {code:3}  {where or 'NOWHERE: ' + told}", flush=True)
    return wrong


def _try(
    folder: Path, case: Case, prefix: Callable[[Path], Sequence[str]]
) -> tuple[str | None, int, str]:
    shutil.rmtree(folder, ignore_errors=True)
    photos, results = folder / "photos", folder / "results"
    photos.mkdir(parents=True)
    results.mkdir()
    shutil.copyfile(SAMPLE, photos / "0.jpg")
    earlier, out = folder / "earlier.jsonl", results / case.name
    _run(_batch(photos, earlier, earlier))
    _run(case.words(photos, out, earlier))
    old = out.read_bytes()
    shutil.copyfile(SAMPLE, photos / "1.jpg")
    _run(_batch(photos, earlier, earlier))
    words = case.words(photos, out, earlier)
    if case.words is _batch:
        words += ["--journal", folder / "journal"]
    done = _run(words, prefix(out))
    told = done.stderr.decode().strip()
    assert "Traceback" not in told, told
    mounted, where = folder / "mounted", None
    place = mounted if mounted.exists() else out
    found = re.search(r"(?:kept|results are) in (\S+?)(;|$)", told, re.MULTILINE)
    if done.returncode == 0 or (found and found[1] == str(out)):
        where = "in its place" if _is_new(place, out.suffix, folder) else None
    elif found:
        kept = Path(found[1])
        is_journal = kept.name == "journal"
        suffix = ".journal" if is_journal else out.suffix
        if _is_new(kept, suffix, folder) and out.read_bytes() == old:
            where = f"in {kept.name}, as it says"
        if not is_journal:
            kept.unlink()
    if not mounted.exists():
        again = _run(words)
        left = {path.name for path in results.iterdir()} - {out.name, f"{out.name}.run.json"}
        if again.returncode or left or not _is_new(out, out.suffix, folder):
            return None, done.returncode, f"{told}\nlater: {again.stderr.decode()} {left}"
    return where, done.returncode, told


def _is_new(path: Path, suffix: str, folder: Path) -> bool:
    """Whether both photos are there."""
    if suffix == ".journal":
        return "1.jpg" in path.read_text()
    if suffix == ".html":
        return path.read_text().count("data:image") == 2
    named = folder / f"copy{suffix}"
    shutil.copyfile(path, named)
    return len({result.path for result in read_results([str(named)])}) == 2


def _run(
    words: Sequence[str | Path], prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*prefix, FLOWERS, *words], capture_output=True, check=False)


if __name__ == "__main__":
    fire.Fire(main)
