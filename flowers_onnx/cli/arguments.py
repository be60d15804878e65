"""The words of the command line, checked and made unambiguous before Python Fire sees them.

Fire guesses types, lets ``--json photo.jpg`` swallow the photo, drops a lone ``-``, opens
a REPL for ``-- --interactive`` and runs a command before it knows that its arguments are
valid. Here every flag becomes ``--name=value`` and every other word is marked, so that
Fire only routes; a word that makes no sense stops the program before any work.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flowers_onnx.cli.commands import COMMANDS
from flowers_onnx.errors import UsageError

#: Put before each word that is data: Fire can't mistake it for a flag or a separator.
MARK = "\x1f"

HELP = """\
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


@dataclass(frozen=True, slots=True)
class Request:
    """Either a help text to print or an argument vector for Fire."""

    argv: tuple[str, ...] = ()
    help: str | None = None


def parse(words: list[str]) -> Request:
    """Check ``words`` (without the program's name); raises ``UsageError``."""
    if words[:1] in (["--help"], ["-h"], ["help"]):
        return Request(help=help_for(_command(words[1])) if words[1:] else general_help())
    if not words:
        raise UsageError("say what to do, for instance: flowers classify photo.jpg (see --help)")
    name, rest = _command(words[0]), words[1:]
    if _asks_for_help(rest):
        return Request(help=help_for(name))
    return Request(argv=(name, *_normalised(name, COMMANDS[name], rest)))


def _command(name: str) -> str:
    if name not in COMMANDS:
        raise UsageError(f"no such command: {name}{_hint(name, list(COMMANDS))}")
    return name


def general_help() -> str:
    """The help of the program as a whole."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {_summary(command)}" for name, command in COMMANDS.items()]
    return HELP.format(commands="\n".join(lines)).rstrip()


def help_for(name: str) -> str:
    """The help of one command: its docstring is written for its users."""
    return _text(COMMANDS[name])


def _summary(command: Callable[..., object]) -> str:
    return _text(command).splitlines()[0].rstrip(".")


def _text(command: Callable[..., object]) -> str:
    return inspect.cleandoc(command.__doc__ or "No help: Python was started with -OO.")


def _asks_for_help(words: list[str]) -> bool:
    before_names = words[: words.index("--")] if "--" in words else words
    return "--help" in before_names or "-h" in before_names


def _normalised(name: str, command: Callable[..., object], words: list[str]) -> Iterator[str]:
    parameters = inspect.signature(command).parameters.values()
    # A parameter that would be a keyword of Python ends in an underscore, its flag does not.
    flags = {p.name.rstrip("_"): p for p in parameters if p.kind is p.KEYWORD_ONLY}
    takes_words = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    seen: set[str] = set()
    rest = iter(words)
    for word in rest:
        if word == "--":  # everything that follows is a name, whatever it looks like
            for data in rest:
                yield _data(name, data, takes_words)
        elif word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            flag = flag.replace("-", "_")
            if flag not in flags:
                raise UsageError(f"{name} has no flag --{flag}{_hint(flag, list(flags), '--')}")
            if flag in seen:
                raise UsageError(f"--{flag} is given twice")
            seen.add(flag)
            if flags[flag].default is False:
                value = _switch(flag, equals)
            elif not equals:
                value = _value_of(flag, rest)
            yield f"--{flags[flag].name}={MARK}{value}"
        elif word.startswith("-") and word != "-" and not os.path.lexists(word):
            raise UsageError(
                f"{name} has no flag {word} (put -- before names that begin with a dash)"
            )
        else:
            yield _data(name, word, takes_words)


def _value_of(flag: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None or value.startswith("--"):
        raise UsageError(f"--{flag} needs a value")
    return value


def _switch(flag: str, equals: str) -> str:
    if equals:
        raise UsageError(f"--{flag} takes no value")
    return "yes"


def _data(name: str, word: str, takes_words: bool) -> str:  # noqa: FBT001  passed by its name
    if not takes_words:
        raise UsageError(f"{name} takes no argument, but got: {word}")
    return MARK + word


def _hint(word: str, known: list[str], prefix: str = "") -> str:
    import difflib  # takes longer to import than to use

    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "; see flowers --help"
