"""How far a run is: one line on the terminal that is written again and again, and then gone.

Loaded only where there is much to do.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from flowers_onnx import console
from flowers_onnx.concurrency import try_start
from flowers_onnx.results import Result

_SECONDS = 0.2
_BAR = 24
#: Narrower than this, a bar says nothing.
_LEAST_BAR = 6


class Progress:
    """A line that is shown while the block runs, where standard error is a terminal.

    What ``console`` says in the meantime stands above it. A terminal without cursor movement
    (``TERM=dumb``) gets nothing.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self.on = wanted and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._total: int | None = None
        self._started = self._last = time.monotonic()
        self._shown = 0  # columns of what stands there now
        if self.on:
            console.erasure = self._taken_away

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the line away, for good."""
        if self.on:
            self.on = False
            _write(self._taken_away())
            console.erasure = str

    def restart(self) -> None:
        """From here on something else is counted."""
        self._started = self._last = time.monotonic()

    def expect(self, count: int | Callable[[], int]) -> None:
        """Say how much there is to do, so that the line can say how long that takes.

        A function is asked beside the run, which doesn't wait for it.
        """
        if isinstance(count, int):
            self._total = count
        elif self.on:
            try_start(lambda: self._count(count), name="flowers-count", daemon=True)

    def update(self, done: int, detail: object, skipped: int = 0) -> None:
        """``done`` were done now, ``skipped`` earlier; most calls show nothing.

        ``detail`` becomes text only when something is shown.
        """
        now = time.monotonic()
        if not self.on or now - self._last < _SECONDS:
            return
        self._last = now
        rate = done / max(now - self._started, 1e-9)
        text, fraction = f"{done + skipped:,} images", None
        if self._total:
            fraction = (done + skipped) / self._total
            left = max(self._total - done - skipped, 0)
            clock = _clock(left / max(rate, 1e-9))
            text = f"{done + skipped:,}/{self._total:,}, {clock} left"
        self.show(fraction, f"{text}, {_rate(rate)} a second: {detail}")

    def show(self, fraction: float | None, text: str) -> None:
        """Show ``text`` at once, behind a bar if ``fraction`` isn't None, cut to the terminal."""
        if self.on and _in_foreground():
            # Whoever resizes the terminal is followed at the next call.
            line = _line(fraction, text, _columns() - 1)  # some wrap when the last one is taken
            text = self._erasure() + line
            self._shown = _width(line)  # before it is: Ctrl-C may come in between
            _write(text)

    def _taken_away(self) -> str:
        taken_away = self._erasure() if self._shown else ""
        self._shown = 0
        return taken_away

    def _erasure(self) -> str:
        """What empties the line, and those that a narrower terminal has wrapped it into."""
        above = max(self._shown - 1, 0) // _columns() if _rewraps() else 0
        return f"\r\x1b[{above}A\x1b[J" if above else "\r\x1b[K"

    def _count(self, count: Callable[[], int]) -> None:
        with contextlib.suppress(Exception):  # the run itself lists too, and tells what is wrong
            self._total = count()


def visible_beside(out: str | None) -> bool:
    """Whether a line on standard error disturbs no output.

    It would where results come to the same terminal: directly, or by way of a pipe's reader.
    """
    if out not in (None, "-"):
        return True
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return not (sys.stdout.isatty() or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def watched(results: Iterable[Result], progress: Progress) -> Iterator[Result]:
    """``results`` as they are, and counted."""
    failed = 0
    for done, result in enumerate(results, start=1):
        yield result
        failed += not result.ok
        progress.update(done, f"{done - failed:,} named, {failed:,} failed")


def _line(fraction: float | None, text: str, columns: int) -> str:
    """The bar takes what the text leaves of a narrow terminal."""
    size = min(_BAR, columns - _width(text) - 3)
    if fraction is not None and size >= _LEAST_BAR:
        filled = round(min(fraction, 1) * size)
        text = f"[{'#' * filled}{'.' * (size - filled)}] {text}"
    return _cut(text, columns)


def _cut(text: str, columns: int) -> str:
    """As much of ``text`` as fits; what could move the cursor is shown as a question mark."""
    kept, used = [], 0
    for character in text:
        used += _width(character)
        if used > columns:
            break
        kept.append(character if character.isprintable() else "?")
    return "".join(kept)


def _width(text: str) -> int:
    """Columns: two for Chinese and for emoji, none for an accent of its own."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def _columns() -> int:
    """How wide the terminal is now."""
    columns = 0
    with contextlib.suppress(OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    # Some have no size: serial lines, terminals of programs.
    return max(columns, 2) if columns else 80


def _rewraps() -> bool:
    """Whether lines are wrapped anew in a narrower terminal, as in most, or cut."""
    return not {"XTERM_VERSION", "STY"} & os.environ.keys() and os.environ.get("TERM") != "linux"


def _in_foreground() -> bool:
    """False for a job that was sent to the background: the line belongs to others."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # not our terminal, or no such thing
        return True


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1 else f"{rate:.1g}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(min(seconds, 3.6e6)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
