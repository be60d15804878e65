"""The words of the command line, checked and made unambiguous before Python Fire sees them.

Fire guesses types, lets ``--json photo.jpg`` swallow the photo, drops a lone ``-``, opens
a REPL for ``-- --interactive`` and runs a command before it knows that its arguments are
valid. Here every flag becomes ``--name=value`` and every other word is marked, so that
Fire only routes; a word that makes no sense stops the program before any work.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass

from flowers_onnx.cli.command import flags_of
from flowers_onnx.cli.commands import COMMANDS, find
from flowers_onnx.errors import UsageError

#: Put before each word that is data: Fire can't mistake it for a flag or a separator.
MARK = "\x1f"

#: What flags were called before, in every command that has the one that it is now.
FORMER_NAMES = {"output": "out", "workers": "threads"}


@dataclass(frozen=True, slots=True)
class Request:
    """Either a help text to print or an argument vector for Fire."""

    argv: tuple[str, ...] = ()
    help: str | None = None


def parse(words: list[str]) -> Request:
    """Check ``words`` (without the program's name); raises ``UsageError``."""
    if words[:1] in (["--help"], ["-h"], ["help"]):
        return _help(*map(_command, words[1:2]))
    if not words:
        raise UsageError("say what to do, for instance: flowers classify photo.jpg (see --help)")
    name, rest = _command(words[0]), words[1:]
    if _asks_for_help(rest):
        return _help(name)
    return Request(argv=(name, *_normalised(name, rest)))


def _help(name: str | None = None) -> Request:
    from flowers_onnx.cli.help import general_help, help_for

    return Request(help=help_for(name) if name else general_help())


def _command(name: str) -> str:
    if name not in COMMANDS:
        from flowers_onnx.cli.hints import no_such_command

        raise no_such_command(name)
    return name


def _asks_for_help(words: list[str]) -> bool:
    before_names = words[: words.index("--")] if "--" in words else words
    return "--help" in before_names or "-h" in before_names


def _normalised(name: str, words: list[str]) -> Iterator[str]:
    command = find(name)
    flags = flags_of(command)
    parameters = inspect.signature(command).parameters.values()
    takes_words = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    seen: set[str] = set()
    rest = iter(words)
    for word in rest:
        if word == "--":  # everything that follows is a name, whatever it looks like
            for data in rest:
                yield _data(name, data, takes_words)
        elif word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            flag = _current(flag.replace("-", "_"), flags)
            if flag not in flags:
                raise _no_such_flag(name, f"--{flag}")
            if flag in seen:
                raise UsageError(f"--{flag} is given twice")
            seen.add(flag)
            parameter, declared = flags[flag]
            if not declared.value:
                value = _switch(flag, equals)
            elif not equals:
                value = _value_of(flag, rest)
            yield f"--{parameter}={MARK}{value}"
        elif word.startswith("-") and word != "-" and not os.path.lexists(word):
            raise _no_such_flag(name, word)
        else:
            yield _data(name, word, takes_words)


def _current(flag: str, known: Container[str]) -> str:
    name = FORMER_NAMES.get(flag, flag)
    return name if name in known else flag


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


def _no_such_flag(name: str, word: str) -> UsageError:
    from flowers_onnx.cli.hints import no_such_flag

    return no_such_flag(name, word)
