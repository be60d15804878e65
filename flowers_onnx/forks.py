"""What a forked child finds as it was, though other threads held it: locks, budgets, imports."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from importlib import import_module

#: A fork waits no longer than that, whatever happens.
_FORK_SECONDS = 5


def after_fork(renew: Callable[[], None]) -> None:
    """Let ``renew`` make new locks in each forked child.

    A lock that another thread holds at the time of the fork is never released in the child. For
    what lives as long as the process: there is no way to take it back.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=renew)


def import_before_fork(modules: Iterable[str]) -> None:
    """Import what threads import where they first need it, before a fork if there are any.

    A module that another thread is importing at the time of the fork can't be imported in the
    child, which would wait for that thread for ever.
    """
    # A fork takes logging's lock, which imports need; what was registered last goes first.
    import logging  # noqa: F401  Pillow needs it for any photo

    def load() -> None:
        if threading.active_count() > 1:
            for module in modules:
                with contextlib.suppress(ImportError):
                    import_module(module)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=load)


class ForkGate:
    """Work that a fork waits for, and that waits for a fork.

    What a library has locked at the time of a fork would stay locked in the child. For work that
    is short, by any number of threads, and for what lives as long as the process. ``let_go`` is
    called before each fork, when no such work is under way: for what must not be in the child.
    """

    def __init__(self, let_go: Callable[[], None] = lambda: None) -> None:
        self._let_go = let_go
        self._changed = threading.Condition()
        self._working: set[int] = set()
        self._forks = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close, after_in_parent=self._open, after_in_child=self._renew
            )

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            self._working.add(threading.get_ident())

    def __exit__(self, *_error: object) -> None:
        with self._changed:
            self._working.discard(threading.get_ident())
            self._changed.notify_all()

    def _close(self) -> None:
        self._changed.acquire()  # until the fork is done
        self._forks += 1
        ours = {threading.get_ident()}  # of a handler of signals that forks
        self._changed.wait_for(lambda: self._working <= ours, _FORK_SECONDS)
        self._let_go()

    def _open(self) -> None:
        self._forks -= 1
        self._changed.notify_all()
        self._changed.release()

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._working &= {threading.get_ident()}
        self._forks = 0
