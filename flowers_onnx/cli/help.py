"""The help texts, 80 columns wide: the program's own, a command's docstring with its flags."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import groupby

from flowers_onnx.cli.command import Command, flags_of
from flowers_onnx.cli.commands import COMMANDS, find

#: Stands in a command's docstring for the lines of its flags.
MARKER = "{flags}"

#: How wide all is, and where the words about a flag begin.
_WIDTH, _INDENT = 80, 21

_GENERAL = """\
Name the flower in a photo, on CPU.

Usage:
  flowers COMMAND [ARGUMENT ...] [--FLAG VALUE ...]

Commands:
{commands}

  flowers COMMAND --help   what a command does, its flags
  flowers --version        version of the program and of the model

Exit codes: 0 all done, 1 some inputs failed (benchmark: it got slower), 2 wrong usage,
3 no usable model, 4 results can't be written, 5 the run stopped and published
nothing, 129 hung up, 130 interrupted, 143 terminated.
"""


def general_help() -> str:
    """The help of the program as a whole."""
    indent = max(map(len, COMMANDS)) + 4
    lines = (line for name, words in COMMANDS.items() for line in _row(f"  {name}", words, indent))
    return _filled(_GENERAL).format(commands="\n".join(lines)).rstrip()


def help_for(name: str) -> str:
    """The help of one command: its docstring is written for its users."""
    command = find(name)
    text = inspect.cleandoc(command.__doc__ or "No help: Python was started with -OO.")
    return _filled(text).replace(MARKER, "\n".join(_flag_lines(command)))


def _flag_lines(command: Command) -> Iterator[str]:
    for name, (_, flag) in flags_of(command).items():
        left = f"  --{name} {flag.value}"
        for part in flag.help.split("\n"):
            yield from _row(left, part, _INDENT)
            left = ""


def _row(left: str, words: str, indent: int) -> Iterator[str]:
    """Two columns, of which the right one may have several lines."""
    for line in _wrap(words, _WIDTH - indent):
        yield f"{left:<{indent - 1}} {line}"
        left = ""


def _filled(text: str) -> str:
    """``text`` with its paragraphs in as few lines as they need; what is indented stays."""

    def stays(line: str) -> bool:
        return not line or line.startswith((" ", "{")) or line.endswith(":")

    lines: list[str] = []
    for is_kept, group in groupby(text.split("\n"), stays):
        found = list(group)
        lines += found if is_kept else _wrap(" ".join(found), _WIDTH)
    return "\n".join(lines)


def _wrap(words: str, width: int) -> list[str]:
    from textwrap import wrap

    return wrap(words, width, break_long_words=False, break_on_hyphens=False)
