"""What a command declares, its flags, and what it gives: work that is ready to start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, get_type_hints

#: A flag's name and the text of its value -> the value; raises ``UsageError``.
Check = Callable[[str, str], Any]


class Flag(NamedTuple):
    """A flag, declared beside the type of a command's keyword-only parameter, and nowhere else.

    ``size: Annotated[int, Flag("N", "pixels a side (96)", count())] = 96`` is all of
    ``--size N``. ``value`` stands for the value in the help; where it is empty the flag is a
    switch, False unless it is given. A line break in ``help`` is kept, others come by
    themselves. ``check`` makes the value of its text, which else is the value.
    """

    value: str
    help: str
    check: Check | None = None

    def convert(self, name: str, text: str) -> Any:
        """The value that ``--name text`` gives to the command; raises ``UsageError``."""
        if not self.value:
            return True
        return self.check(name, text) if self.check else text


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is ready to start and gives the exit code.

    While it runs, what libraries print straight to descriptor 2 is dropped, unless
    ``mutes_libraries`` is False: where a crash must not lose its last words. Not callable
    itself: Fire would call it before the arguments are known to be valid.
    """

    work: Callable[[], int]
    mutes_libraries: bool = True


Command = Callable[..., Job]


@cache
def flags_of(command: Command) -> dict[str, tuple[str, Flag]]:
    """The parameter and the declaration of each flag, by the flag's name, in order.

    A parameter that would be a keyword of Python ends in an underscore, its flag does not.
    """
    return {
        parameter.rstrip("_"): (parameter, flag)
        for parameter, hint in get_type_hints(command, include_extras=True).items()
        for flag in getattr(hint, "__metadata__", ())
        if isinstance(flag, Flag)
    }
