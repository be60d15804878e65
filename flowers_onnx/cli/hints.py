"""What somebody may have meant who typed what is no command or no flag; loaded for that alone."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterable

from flowers_onnx.cli.command import flags_of
from flowers_onnx.cli.commands import COMMANDS, find
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import claims_image


def no_such_command(word: str) -> UsageError:
    """Tells what to type instead, where that can be guessed."""
    if word.startswith("-"):
        if close := _closest(word.lstrip("-"), ("help", "version")):
            return UsageError(f"no such flag: {word}; did you mean flowers --{close}?")
        example = f"flowers classify photo.jpg {word} ..."
        return UsageError(f"no such flag: {word}; a command comes first: {example}")
    if word.startswith(("gs://", "s3://")):
        hint = f"; did you mean flowers batch {shlex.quote(word)} --out results.jsonl?"
    elif word.startswith(("http://", "https://")):
        hint = "; download the photo, then flowers classify FILE"
    elif _is_photos(word):
        hint = f"; did you mean flowers classify {shlex.quote(word)}?"
    elif word == "version":
        hint = "; did you mean flowers --version?"
    elif close := _closest(word, COMMANDS):
        hint = f"; did you mean {close}?"
    else:
        hint = "; see flowers --help"
    return UsageError(f"no such command: {word}{hint}")


def no_such_flag(command: str, word: str) -> UsageError:
    """Tells the nearest flag, and where all of them are."""
    name = word.partition("=")[0].lstrip("-").replace("-", "_")
    close = _closest(name, flags_of(find(command)))
    if close:
        hint = f"; did you mean --{close}? See flowers {command} --help"
    else:
        hint = f"; see flowers {command} --help"
        if not word.startswith("--"):
            hint += ", and put -- before names that begin with a dash"
    return UsageError(f"{command} has no flag {word}{hint}")


def _is_photos(word: str) -> bool:
    """A file, a folder, a pattern, or what has a photo's name."""
    return os.path.lexists(word) or claims_image(word) or any(mark in word for mark in "/\\*?")


def _closest(word: str, known: Iterable[str]) -> str | None:
    """The only one that begins with ``word``, or else what is spelt most like it."""
    names, word = list(known), word.lower()
    begun = [name for name in names if word and name.startswith(word)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(word, names, n=1)
    return next(iter(close), None)
