"""Commands to be run by two installations, and all that can be seen of each run."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO

from bench.commits.masks import Mask, readable

Word = str | bytes | Path

#: What can be seen of a run, by what it is: an exit code, a stream, a file.
Seen = dict[str, bytes]

_SECONDS = 60

#: What photos and files that a case changes are dated with: a row tells the time of its file.
_DATE = 1_700_000_000

_BITS = 8


@dataclass(frozen=True)
class Installation:
    """A ``flowers`` in an environment of its own."""

    name: str
    flowers: Path

    @property
    def python(self) -> Path:
        return self.flowers.with_name("python")

    @cached_property
    def package(self) -> str:
        """The folder of ``flowers_onnx``; exits for what is no installation."""
        program = "import flowers_onnx; print(flowers_onnx.__path__[0])"
        done = subprocess.run([self.python, "-I", "-c", program], capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.flowers} is in no environment: {os.fsdecode(done.stderr)}")
        return os.fsdecode(done.stdout).strip()


@dataclass(frozen=True)
class Stop:
    """A signal for a run whose input stays open, once a ``file`` has ``lines`` lines."""

    number: int
    lines: int = 1
    #: A pattern for names in the folder; empty for standard output.
    file: str = ""


@dataclass(frozen=True)
class Step:
    """One command. ``by`` names the installation; empty for the one in question."""

    words: tuple[Word, ...]
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    #: A shell's line, in which "$@" is the command.
    shell: str = ""
    stop: Stop | None = None
    #: Patterns of files that chance decides on.
    unseen: tuple[str, ...] = ()
    #: ``python -m flowers_onnx``, with these options of Python.
    python: tuple[str, ...] | None = None

    def __str__(self) -> str:
        words = " ".join(os.fsdecode(os.fsencode(word)) for word in self.words[:12])
        prefix = "".join(f"{name}={value} " for name, value in self.env.items())
        suffix = " ..." if len(self.words) > 12 else ""
        return prefix + (f"flowers {words}{suffix}" if not self.shell else f"{words}: {self.shell}")


#: Something that happens to the folder between two commands.
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """Steps in a new folder, one after the other."""

    name: str
    steps: tuple[Step | Change, ...]
    masks: tuple[Mask, ...] = ()


def step(*words: Word, **options: object) -> Step:
    return Step(words, **options)  # type: ignore[arg-type]


def put(name: str, content: bytes | str | Path) -> Change:
    """Write a file, or copy one; always of the same date."""

    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case Path():
                shutil.copyfile(content, path)
            case str():
                path.write_text(content)
            case _:
                path.write_bytes(content)
        date(path)

    return change


def append(name: str, content: bytes) -> Change:
    def change(folder: Path) -> None:
        with open(folder / name, "ab") as file:
            file.write(content)

    return change


def mode(name: str, bits: int) -> Change:
    return lambda folder: (folder / name).chmod(bits)


def date(path: Path, later: int = 0) -> None:
    """Give a file the date that all have."""
    os.utime(path, (_DATE + later, _DATE + later))


def play(
    case: Case, side: Installation, installations: Iterable[Installation], place: Path
) -> list[tuple[Step, Seen]]:
    """Run a case by ``side`` in a new folder below ``place``; what was seen of each step."""
    by_name = {one.name: one for one in installations}
    folder = place / case.name.replace("/", "-").replace(" ", "-")
    folder.mkdir(parents=True)
    seen: list[tuple[Step, Seen]] = []
    before: dict[str, bytes] = {}
    try:
        for what in case.steps:
            if not isinstance(what, Step):
                what(folder)
                before = _digests(folder)
                continue
            output = _run(what, by_name[what.by] if what.by else side, folder, place)
            after = _digests(folder)
            unseen = {name for name in after for glob in what.unseen if fnmatch(name, glob)}
            for name in sorted(before.keys() - after.keys() - unseen):
                output[f"removed {name}"] = b""
            for name in sorted(after.keys() - unseen):
                if after[name] != before.get(name):
                    output[f"file {name}"] = readable(folder / name)
                    output[f"permissions of {name}"] = after[name][:_BITS]
            before = after
            for mask in case.masks:
                output = {name: mask(name, content) for name, content in output.items()}
            seen.append((what, output))
    finally:
        shutil.rmtree(folder)
    return seen


def _digests(folder: Path) -> dict[str, bytes]:
    """What tells whether a file has changed: its content and permissions."""
    return {
        path.relative_to(folder).as_posix(): f"{path.stat().st_mode:0{_BITS}o}".encode()
        + sha256(path.read_bytes()).digest()
        for path in sorted(_files(folder))
    }


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            yield path


def _run(step: Step, by: Installation, folder: Path, home: Path) -> Seen:
    command: list[Word] = [by.flowers, *step.words]
    if step.python is not None:
        command = [by.python, *step.python, "-m", "flowers_onnx", *step.words]
    if step.shell:
        command = ["bash", "-c", step.shell, "bash", *command]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **step.env}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=env,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        first = _send_and_stop(process, step, folder) if step.stop else b""
        try:
            out, err = process.communicate(None if step.stop else step.stdin, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return {"hung": b"yes\n", "standard output": first + out, "standard error": err}
    seen = {"exit code": b"%d\n" % process.returncode}
    seen |= {"standard output": first + out, "standard error": err}
    ours = {by.package.encode(): b"<package>", os.fsencode(by.flowers): b"<flowers>"}
    for name, content in seen.items():
        for path, word in ours.items():
            seen[name] = seen[name].replace(path, word) if content else content
    return seen


def _send_and_stop(process: subprocess.Popen[bytes], step: Step, folder: Path) -> bytes:
    """Give the input and keep it open, wait and send the signal; what was read meanwhile."""
    assert step.stop
    assert process.stdin
    assert process.stdout
    process.stdin.write(step.stdin)
    process.stdin.flush()
    first = b""
    if step.stop.file:
        _wait(process, folder, step.stop)
    else:
        first = _lines(process.stdout, step.stop.lines)
    process.send_signal(step.stop.number)
    return first


def _lines(stream: IO[bytes], count: int) -> bytes:
    return b"".join(stream.readline() for _ in range(count))


def _wait(process: subprocess.Popen[bytes], folder: Path, stop: Stop) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = folder.glob(stop.file)
        if any(path.read_bytes().count(b"\n") >= stop.lines for path in found):
            return
        time.sleep(0.01)
