"""``flowers keys``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TextIO

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keys import SCOPES, Scope
from flowers_onnx.serve.keys.key import Key
from flowers_onnx.serve.keys.manage import add, revoke, rotate
from flowers_onnx.serve.keys.place import KeyFile, chosen_place, key_file
from flowers_onnx.serve.keys.ring import Entry, Ring, text_of, time_of
from flowers_onnx.writers import open_output, write_table

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_GRACE = timedelta(hours=24)
_COLUMNS = ("id", "name", "scopes", "state", "created", "expires", "revoked", "replaces")
#: For people, in as many columns as a terminal has.
_SHOWN = ("id", "name", "scopes", "state", "created", "until")
_WIDTH = 80


def _duration(flag: str, text: str) -> timedelta:
    """``90d``, ``24h``, ``30m``, ``10s`` or ``0``."""
    match = re.fullmatch(r"(\d{1,5})([smhd])|0", text)
    if match is None:
        raise UsageError(f"--{flag} needs a time such as 90d, 24h or 30m, not {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match[2] else timedelta()


def _moment(flag: str, text: str) -> datetime:
    """A time to come: a duration from now, or a date."""
    now = datetime.now(UTC)
    try:
        moment = time_of(text) if "-" in text else now + _duration(flag, text)
    except (ValueError, OverflowError):
        raise UsageError(f"--{flag} needs 90d or a date such as 2027-01-31") from None
    if moment <= now:
        raise UsageError(f"--{flag} {text} has passed")
    return moment


def keys(
    *words: str,
    keys: flags.Keys = None,
    scopes: Annotated[
        tuple[Scope, ...] | None,
        Flag(
            "S,S",
            f"add: what the key is for, of {', '.join(SCOPES)} (classify)",
            flags.listed(flags.choice(*SCOPES)),
        ),
    ] = None,
    expires: Annotated[
        datetime | None,
        Flag(
            "WHEN",
            "add, rotate: 90d, 12h or a date, 2027-01-31, in UTC (never; rotate: as long as the "
            "old one had)",
            _moment,
        ),
    ] = None,
    grace: Annotated[
        timedelta | None,
        Flag("TIME", "rotate: how long the old key is still let in, or 0 (24h)", _duration),
    ] = None,
    format: Annotated[
        str | None, Flag("F", "list: text or json (text)", flags.choice("text", "json"))
    ] = None,
) -> Job:
    """Make, list, revoke and rotate the keys that flowers serve lets in.

    Usage:
      flowers keys add NAME [--FLAG VALUE ...]
      flowers keys list
      flowers keys revoke ID|NAME
      flowers keys rotate ID|NAME [--FLAG VALUE ...]

    add and rotate print the new key on standard output, this once: the file has its hash.
    Servers take a change up within seconds, those that read a bucket within half a minute.
    revoke NAME means all keys of that name, rotate NAME the newest. docs/keys.md says more.

    Flags:
    {flags}
    """
    action = words[0] if words else ""
    # No message repeats a word: it may be a key.
    if action not in _FLAGS:
        raise UsageError("say flowers keys add, list, revoke or rotate")
    if len(words) != (1 if action == "list" else 2):
        needs = {"add": "one NAME", "list": "no more words"}.get(action, "one ID or NAME")
        raise UsageError(f"keys {action} needs {needs}")
    given = {"scopes": scopes, "expires": expires, "grace": grace, "format": format}
    for name, value in given.items():
        if value is not None and name not in _FLAGS[action]:
            raise UsageError(f"--{name} is not for keys {action}")
    place = chosen_place(keys)
    if place is None:
        raise UsageError("keys needs --keys PLACE: a file, gs://... or s3://... ($FLOWERS_KEYS)")

    def work() -> int:
        file = key_file(place)
        match action:
            case "add":
                _add(file, words[1], scopes or ("classify",), expires)
            case "rotate":
                _rotate(file, words[1], _GRACE if grace is None else grace, expires)
            case "revoke":
                _revoke(file, words[1])
            case _:
                _list(file, format or "text")
        return 0

    return Job(work)


#: What each action does not ignore.
_FLAGS: dict[str, tuple[str, ...]] = {
    "add": ("scopes", "expires"),
    "list": ("format",),
    "revoke": (),
    "rotate": ("expires", "grace"),
}


def _add(file: KeyFile, name: str, scopes: tuple[Scope, ...], expires: datetime | None) -> None:
    with open_output(None) as stream:
        with file.changing():
            ring, key = add(file.load(required=False), name, scopes, expires, _now())
            file.save(ring)
        _hand_over(key, ring, stream)


def _rotate(file: KeyFile, who: str, grace: timedelta, expires: datetime | None) -> None:
    with open_output(None) as stream:
        with file.changing():
            ring, key, old = rotate(file.load(), who, grace, expires, _now())
            file.save(ring)
        _hand_over(key, ring, stream)
    say(f"flowers: the old key, {old.id}, is let in until {text_of(old.expires)}")


def _revoke(file: KeyFile, who: str) -> None:
    with file.changing():
        ring, ended = revoke(file.load(), who, _now())
        file.save(ring)
    for entry in ended:
        say(f"flowers: key {entry.id} ({entry.name}) is revoked")


def _list(file: KeyFile, format: str) -> None:
    rows = [_row(entry) for entry in file.load().entries]
    with open_output(None) as stream:
        if format == "text":
            rows = _fitted([{name: name for name in _SHOWN}, *map(_shown, rows)])
        write_table(format, rows, stream)


def _hand_over(key: Key, ring: Ring, stream: TextIO) -> None:
    """The key alone on standard output; the rest is talk."""
    entry = ring.entries[-1]
    until = text_of(entry.expires) or "it is revoked"
    scopes = " and ".join(entry.to_record()["scopes"])
    stream.write(key.text + "\n")
    say(f"flowers: key {key.id} ({entry.name}) is for {scopes}, until {until}; shown this once")


def _row(entry: Entry) -> dict[str, Any]:
    """What is shown of a key: all but its hash."""
    record = {**entry.to_record(), "state": entry.state(_now())}
    return {name: record[name] for name in _COLUMNS}


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """A row for people: when it began, and when it ended or will."""
    until = row["revoked"] or row["expires"] or "-"
    texts = {**row, "scopes": ",".join(row["scopes"]), "created": row["created"][:10]}
    return {name: texts.get(name, until) for name in _SHOWN}


def _fitted(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows that fit: times become days, and names lose their middle. JSON has all of it."""
    longest = max(len(row["name"]) for row in rows)
    if _room(rows) < longest:
        rows = [row | {"until": row["until"][:10]} for row in rows]
    room = _room(rows)
    return [row | {"name": _shortened(row["name"], room)} for row in rows]


def _room(rows: list[dict[str, str]]) -> int:
    """What the other columns leave for the names."""
    others = [max(len(row[name]) + 2 for row in rows) for name in _SHOWN if name != "name"]
    return _WIDTH - sum(others)


def _shortened(name: str, room: int) -> str:
    half = (room - 3) // 2
    return name if len(name) <= room else f"{name[: room - 3 - half]}...{name[-half:]}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
