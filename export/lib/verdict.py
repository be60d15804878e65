"""What was measured of an old and a new model, whether it is a loss, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib.comparison import Reference, Shares, Unknown
from lib.pace import Pace


@dataclass(frozen=True)
class Limits:
    """Of a loss in percentage points, a ratio of times, and right answers refused in percent."""

    loss: float = 0.5
    slower: float = 1.1
    refused: float = 8.0


@dataclass(frozen=True)
class Findings:
    """All that was measured; ``dropped`` and ``added`` are ids of classes, sizes are in MB.

    ``old`` is None, and so is what is measured of it, where there was no model before.
    """

    old: str | None
    new: str
    references: Sequence[Reference]
    unknown: Sequence[Unknown]
    pace: Pace | None
    old_megabytes: float | None
    new_megabytes: float
    dropped: Sequence[str]
    added: Sequence[str]
    #: Whether each can tell what it doesn't know.
    old_tells: bool
    new_tells: bool


def losses(found: Findings, limits: Limits, *, may_drop: bool) -> list[str]:
    """Why the new model is refused, a line each; none if it is not."""
    lines = []
    for one in found.references:
        lines += _of_reference(one, found, limits)
    for other in found.unknown:
        lost = (other.old or 0) - (other.new or 0)
        if round(lost, 6) > limits.loss:
            lines.append(f"{other.name}: {_points(lost)} fewer unknown photos refused")
    if found.old_tells and not found.new_tells:
        lines.append("it can't tell what it doesn't know, which the old one can")
    if found.pace and found.pace.exceeds(limits.slower):
        told = "" if found.pace.is_clear(limits.slower) else ", though not beyond doubt"
        lines.append(
            f"speed: {found.pace.ratio:.2f} times the time of before, more than "
            f"{limits.slower:g}{told}"
        )
    if found.dropped and not may_drop:
        lines.append(
            f"classes: it no longer knows {listed(found.dropped)}; --drop_classes allows that"
        )
    return lines


def _of_reference(one: Reference, found: Findings, limits: Limits) -> list[str]:
    if one.new is None:
        return []
    lines = []
    if one.old is not None:
        for what, before, after in (
            ("right", one.old.right, one.new.right),
            ("right and not refused", one.old.answered, one.new.answered),
        ):
            if before is None or after is None:
                continue
            if round(before - after, 6) > limits.loss:
                lines.append(
                    f"{one.name}: {_points(before - after)} fewer photos {what} "
                    f"({before:.2f} to {after:.2f} % of {one.photos})"
                )
    # With what an old one that can't tell refuses, this can't be compared.
    if not found.old_tells and one.refused is not None and one.refused > limits.refused:
        lines.append(
            f"{one.name}: {one.refused:.1f} % of the right answers refused, more than "
            f"{limits.refused:g}"
        )
    return lines


def table(found: Findings) -> str:
    """The figures as Markdown, for the model card and the terminal alike."""
    before = f"before: `{found.old}`" if found.old else "before: none"
    lines = [f"| | photos | {before} | new: `{found.new}` |", "|---|---|---|---|"]
    for one in found.references:
        if one.new:
            lines.append(
                f"| {one.name}: right | {one.photos} | {_right(one.old)} | {_right(one.new)} |"
            )
            if found.old_tells or found.new_tells:
                lines.append(
                    f"| {one.name}: right and not refused | {one.photos} "
                    f"| {_answered(one.old)} | {_answered(one.new)} |"
                )
        if one.new_classes:
            share, count = one.new_classes
            lines.append(
                f"| {one.name}: right, of classes that are new | {count} | | {share:.2f} % |"
            )
    for other in found.unknown:
        shares = f"{_percent(other.old)} | {_percent(other.new)}"
        lines.append(f"| {other.name}: refused | {other.photos} | {shares} |")
    if found.pace:
        lines.append(
            f"| milliseconds a photo, 1 thread | {found.pace.pairs} | {found.pace.old_ms:.1f} "
            f"| {found.pace.new_ms:.1f} |"
        )
    size = f"{found.old_megabytes:.1f}" if found.old_megabytes else ""
    lines.append(f"| megabytes | | {size} | {found.new_megabytes:.1f} |")
    return "\n".join(lines)


def notes(found: Findings) -> list[str]:
    """What the table can't say, a line each."""
    lines = []
    for one in found.references:
        if one.old:
            lines.append(
                f"{one.name}: {one.gained} photos right only now, {one.lost} right only before; "
                f"one photo is {100 / one.photos:.2f} points"
            )
        if one.new is None:
            lines.append(f"{one.name}: no photos of classes that both know")
        if one.unreadable:
            lines.append(f"{one.name}: {one.unreadable} photos can't be read and are left out")
    if found.pace:
        lines.append(
            f"speed: {found.pace.ratio:.3f} times the time of before (99 % sure: "
            f"{found.pace.low:.3f} to {found.pace.high:.3f}), without reading and decoding"
        )
    if found.added:
        lines.append(f"classes that are new: {listed(found.added)}")
    if found.dropped:
        lines.append(f"classes that are gone: {listed(found.dropped)}")
    if found.old and not found.old_tells and found.new_tells:
        lines.append("only the new one can tell what it doesn't know")
    if found.new_tells and not found.unknown:
        lines.append("what it refuses of unknown photos isn't measured without --unknown")
    return lines


def listed(names: Sequence[str]) -> str:
    """Some of many names."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest


def _points(value: float) -> str:
    return f"{value:.2f} points"


def _right(shares: Shares | None) -> str:
    return _percent(shares.right if shares else None)


def _answered(shares: Shares | None) -> str:
    return _percent(shares.answered if shares else None)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} %"
