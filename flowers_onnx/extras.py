"""Optional packages: what to tell a user who lacks one."""

from __future__ import annotations

from flowers_onnx.errors import UsageError


def missing(extra: str, what: str) -> UsageError:
    """The error for ``what`` when the packages of ``[extra]`` aren't installed."""
    return UsageError(f"{what} needs the extra [{extra}]: pip install 'flowers-onnx[{extra}]'")
