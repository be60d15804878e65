"""Values of flags, checked: what makes no sense raises ``UsageError``."""

from __future__ import annotations

from collections.abc import Iterable

from flowers_onnx.errors import UsageError


def count(flag: str, text: str, limit: int = 10**12, least: int = 1) -> int:
    """A flag's value as a whole number from ``least`` to ``limit``."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= limit:
        bound = f" and at most {limit}" if limit < 10**12 else ""
        raise UsageError(f"--{flag} needs a whole number of at least {least}{bound}, not {text!r}")
    return number


def choice(flag: str, text: str, choices: Iterable[str]) -> str:
    """A flag's value, one of ``choices``."""
    if text not in choices:
        raise UsageError(f"--{flag} must be one of {', '.join(choices)}, not {text!r}")
    return text
