"""What the scripts' command lines share: lists, and errors in a line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from flowers_onnx.errors import FlowersError


@contextlib.contextmanager
def told(script: str) -> Iterator[None]:
    """End ``script`` with one line for an error of its input."""
    try:
        yield
    except (FlowersError, ValueError, OSError) as error:
        raise SystemExit(f"{script}: {error}") from error


def words(given: str | Sequence[object]) -> list[str]:
    """The items of a list with commas, which Fire may have parted already."""
    items = given.split(",") if isinstance(given, str) else given
    return [str(item) for item in items if item]


def joined_flags(line: Sequence[str], flags: Sequence[str]) -> list[str]:
    """``line`` with the values of a repeated flag as one list; Fire would take the last alone."""
    kept: list[str] = []
    values: dict[str, list[str]] = {flag: [] for flag in flags}
    rest = iter(line)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in values:
            kept.append(word)
        else:
            values[name].append(value if equals else next(rest, ""))
    return kept + [f"--{flag}={','.join(found)}" for flag, found in values.items() if found]
