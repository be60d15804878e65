"""The help texts: the program's own, and a command's docstring with its flags in it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from flowers_onnx.cli.command import Command, flags_of
from flowers_onnx.cli.commands import COMMANDS, find

#: Stands in a command's docstring for the lines of its flags.
MARKER = "{flags}"

#: Where the words about a flag begin, and how wide they are.
_INDENT, _WIDTH = 21, 70

_GENERAL = """\
Name the flower in a photo, on CPU.

Usage:
  flowers COMMAND [ARGUMENT ...] [--FLAG VALUE ...]

Commands:
{commands}

  flowers COMMAND --help   what a command does, its flags
  flowers --version        version of the program and of the model

Exit codes: 0 all done, 1 some inputs failed (benchmark: it got slower), 2 wrong usage,
3 no usable model, 4 results can't be written, 130 interrupted, 143 terminated.
"""


def general_help() -> str:
    """The help of the program as a whole."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return _GENERAL.format(commands="\n".join(lines)).rstrip()


def help_for(name: str) -> str:
    """The help of one command: its docstring is written for its users."""
    command = find(name)
    text = inspect.cleandoc(command.__doc__ or "No help: Python was started with -OO.")
    return text.replace(MARKER, "\n".join(_flag_lines(command)))


def _flag_lines(command: Command) -> Iterator[str]:
    from textwrap import wrap

    for name, (_, flag) in flags_of(command).items():
        left = f"  --{name} {flag.value}"
        for part in flag.help.split("\n"):
            for line in wrap(part, _WIDTH):
                yield f"{left:<{_INDENT - 1}} {line}"
                left = ""
