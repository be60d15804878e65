"""A terminal for tests: what a person would see of a command's standard error."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, Any, Self

_CODES = re.compile(r"\r?\n|\r|\x1b\[(\d*)([AJK])|.", re.DOTALL)


class Terminal:
    """A process whose standard error is a terminal of ``columns``; use as a context manager."""

    def __init__(self, command: Sequence[object], columns: int = 80, **options: Any) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._ours, theirs = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self.columns, self.seen = columns, ""
        env = {**os.environ, "TERM": "xterm-256color", **options.pop("env", {})}
        self.process = subprocess.Popen(list(map(str, command)), stderr=theirs, env=env, **options)
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            _close(pipe)
        os.close(self._ours)

    def read(self, until: str | None = None) -> int | None:
        """Read until ``until`` is seen, or else to the end; returns the exit code then."""
        while until is None or until not in self.seen:
            try:
                chunk = os.read(self._ours, 4096)
            except OSError:  # the other end is closed
                chunk = b""
            if not chunk:
                assert until is None, f"{until!r} never came: {self.seen!r}"
                return self.process.wait()
            self.seen += chunk.decode()
        return None

    def frames(self) -> Iterator[list[str]]:
        """The screen's lines after each write, wrapped where they are too wide."""
        lines, row, column = [""], 0, 0
        for match in _CODES.finditer(self.seen):
            code = match[0]
            if code == "\r":
                yield list(lines)
                column = 0
            elif code.endswith("\n"):
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif match[2] == "A":
                row = max(row - int(match[1]), 0)
            elif match[2]:
                lines[row] = lines[row][:column]
                if match[2] == "J":
                    del lines[row + 1 :]
            else:
                if column == self.columns:
                    row, column = row + 1, 0
                    lines += [""] * (row + 1 - len(lines))
                lines[row] = f"{lines[row]:<{column}}"[:column] + code + lines[row][column + 1 :]
                column += 1
        yield list(lines)

    def screen(self) -> list[str]:
        """What is left in the end, without empty lines."""
        *_, last = self.frames()
        return [line for line in last if line]


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
