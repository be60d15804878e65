"""The end of an endless run: asked for by a signal, waited for wherever the run waits."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from types import FrameType

from flowers_onnx.signals import endings

#: Some send a signal twice at once: to the process, and to its group.
_SAME_SECONDS = 1.0


class Stop:
    """Whether the run is to end in order."""

    def __init__(self) -> None:
        self.asked = False
        #: Not an `Event`: a signal handler may put into this one whatever it interrupts.
        self._woken: SimpleQueue[None] = SimpleQueue()

    def ask(self) -> None:
        """End the run: whoever waits does so no longer."""
        self.asked = True
        self._woken.put(None)

    def wait(self, seconds: float) -> bool:
        """Let time pass; at once True when the end is asked for."""
        with contextlib.suppress(Empty):
            self._woken.get(timeout=max(seconds, 0))
            self._woken.put(None)  # for the next one who waits
        return self.asked

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Have SIGTERM, SIGHUP and Ctrl-C ask for it; another one, later, ends at once."""
        before = {number: signal.getsignal(number) for number in (*endings(), signal.SIGINT)}
        asked_at = float("inf")

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal asked_at
            now = time.monotonic()
            then = before[signal.Signals(number)]
            hurried = now - asked_at > _SAME_SECONDS and number in {signal.SIGTERM, signal.SIGINT}
            if hurried and callable(then):
                then(number, frame)
            asked_at = min(asked_at, now)
            self.ask()

        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # a shell's background job
                signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
