"""Python Fire as a router: from checked words to a command's job, and no further."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import ModuleType
from typing import Any

from flowers_onnx.cli.arguments import MARK
from flowers_onnx.cli.command import Flag, Job, flags_of
from flowers_onnx.cli.commands import find
from flowers_onnx.errors import UsageError


def _import_fire() -> Any:
    """Python Fire without asyncio, which is most of its import time.

    Fire uses one function of it, to see whether a command is a coroutine; none is.
    """
    if "fire" in sys.modules:
        return sys.modules["fire"]
    stand_in = ModuleType("asyncio")
    stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
    # Also where asyncio is loaded: its own function is deprecated since Python 3.14.
    loaded, sys.modules["asyncio"] = sys.modules.get("asyncio"), stand_in
    try:
        import fire
    finally:
        del sys.modules["asyncio"]
        if loaded:
            sys.modules["asyncio"] = loaded
    return fire


def route(argv: tuple[str, ...]) -> Job:
    """Let Fire call the command that ``argv`` (from ``arguments.parse``) names.

    Raises ``UsageError`` for a value that makes no sense.
    """
    fire = _import_fire()
    command = find(argv[0])
    # Fire would guess types: a file named 1e5 would become a float, None would be None.
    values = {
        parameter: partial(_value, name, flag)
        for name, (parameter, flag) in flags_of(command).items()
    }
    fire.decorators.SetParseFn(_unmarked)(command)
    fire.decorators.SetParseFns(**values)(command)
    # Only the last `--` is Fire's: ours takes that place from any that a user could give,
    # and moves Fire's separator from the `-` that means standard input to what no word holds.
    words = [*argv, "--", "--separator=\0"]
    job = fire.Fire({argv[0]: command}, words, "flowers", serialize=_print_nothing)
    if not isinstance(job, Job):
        raise UsageError("say what to do (see flowers --help)")
    return job


def _unmarked(word: str) -> str:
    return word.removeprefix(MARK)


def _value(name: str, flag: Flag, word: str) -> Any:
    return flag.convert(name, _unmarked(word))


def _print_nothing(_job: Any) -> None:
    """What Fire would print of a result."""
