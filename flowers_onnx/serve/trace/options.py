"""What ``flowers trace`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """``flowers trace load``: the rows of a trace into a table or a file."""

    trace: str
    to: str
    follow: bool = False


@dataclass(frozen=True, slots=True)
class ForgetOptions:
    """``flowers trace forget``: what is kept of some requests or photos, deleted."""

    trace: str
    keep: str | None
    to: str | None
    ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """``flowers trace export``: the photos of a trace as a data set to review and to train on."""

    keep: str
    trace: str
    out: str
