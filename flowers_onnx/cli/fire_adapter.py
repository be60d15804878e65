"""Python Fire as a router that runs nothing until every argument has been accepted."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

from flowers_onnx.cli.arguments import MARK
from flowers_onnx.cli.commands import COMMANDS, Job
from flowers_onnx.errors import UsageError


def _import_fire() -> Any:
    """Python Fire without asyncio, which is most of its import time.

    Fire uses one function of it, to see whether a command is a coroutine; none is.
    """
    if "asyncio" in sys.modules or "fire" in sys.modules:
        import fire

        return fire
    stand_in = ModuleType("asyncio")
    stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
    sys.modules["asyncio"] = stand_in
    try:
        import fire
    finally:
        del sys.modules["asyncio"]
    return fire


def run(argv: tuple[str, ...]) -> int:
    """Let Fire turn ``argv`` (from ``arguments.parse``) into a job, and run that."""
    fire = _import_fire()
    # Fire would guess types: a file named 1e5 would become a float, None would be None.
    plain = fire.decorators.SetParseFn(_unmarked)
    commands = {name: plain(command) for name, command in COMMANDS.items()}
    codes: list[int] = []

    def execute(result: Any) -> None:
        # Called once all arguments are consumed: the only moment when it is safe to start.
        if not isinstance(result, Job):
            raise UsageError("say what to do (see flowers --help)")
        codes.append(result.work())

    # Only the last `--` is Fire's: ours takes that place from any that a user could give,
    # and moves Fire's separator from the `-` that means standard input to what no word holds.
    fire.Fire(commands, [*argv, "--", "--separator=\0"], "flowers", execute)
    return codes[0]


def _unmarked(word: str) -> str:
    return word.removeprefix(MARK)
