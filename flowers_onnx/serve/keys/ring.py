"""The keys that a server knows, and the JSON that they are kept in.

``{"schema": "1.0", "keys": [{"id": ..., "name": ..., ...}, ...]}``: what an ``Entry`` has, in its
order. Nothing in it lets anybody in: of a key it has the hash alone.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, get_args

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keys import SCOPES, Scope
from flowers_onnx.serve.keys.key import Key, is_short

SCHEMA = "1.0"

_NAME = re.compile(r"(?!flw_)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # and no key
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key. ``replaces`` is the id of the one that it was made instead of."""

    id: str
    name: str
    scopes: frozenset[Scope]
    sha256: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    replaces: str | None = None

    def state(self, now: datetime) -> str:
        """``live``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"

    def to_record(self) -> dict[str, Any]:
        """The entry as it is in the file."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "sha256": self.sha256,
            "created": text_of(self.created),
            "expires": text_of(self.expires),
            "revoked": text_of(self.revoked),
            "replaces": self.replaces,
        }


class Ring:
    """All keys of a server, those too that no longer open anything."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self._by_id = {entry.id: entry for entry in self.entries}

    def find(self, key: Key, now: datetime) -> Entry | None:
        """The entry of ``key`` if it is known and live.

        The id is public; the hash is compared in a time that tells nothing.
        """
        entry = self._by_id.get(key.id)
        known = hmac.compare_digest(key.sha256, entry.sha256 if entry else _NO_HASH)
        return entry if entry and known and entry.state(now) == "live" else None

    def live(self, now: datetime) -> int:
        """How many keys let somebody in."""
        return sum(entry.state(now) == "live" for entry in self.entries)

    def to_json(self) -> bytes:
        """The file's content."""
        document = {"schema": SCHEMA, "keys": [entry.to_record() for entry in self.entries]}
        return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def ring_of(content: bytes) -> Ring:
    """The reverse of ``Ring.to_json``. Raises ``UsageError``, which never shows the content.

    A field that isn't known may be a limit that isn't known: then no key is taken.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise UsageError("it isn't JSON") from None
    if not isinstance(document, dict) or set(document) != {"schema", "keys"}:
        raise UsageError("it isn't an object of schema and keys")
    if document["schema"] != SCHEMA:
        raise UsageError(f"its schema isn't {SCHEMA}: another version of this program made it")
    if not isinstance(document["keys"], list):
        raise UsageError("its keys aren't a list")
    entries = [_entry(number, found) for number, found in enumerate(document["keys"], 1)]
    if len({entry.id for entry in entries}) < len(entries):
        raise UsageError("two of its keys have the same id")
    return Ring(entries)


def check_name(name: str) -> str:
    """``name``, if a key may have it; raises ``UsageError``, which doesn't show it."""
    if not _NAME.fullmatch(name):
        raise UsageError("a key's name is 1 to 64 letters, digits, dots, dashes and underscores")
    return name


def text_of(time: datetime | None) -> str | None:
    """A time as files and tables have it: UTC, in seconds, ending in Z."""
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def time_of(text: str) -> datetime:
    """The reverse; a date is its first moment, and without an offset it is UTC's.

    Raises ``ValueError``.
    """
    time = datetime.fromisoformat(text)
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:  # the year 1, say, of another zone
        raise ValueError(str(error)) from error


def _entry(number: int, found: object) -> Entry:
    names = {field.name for field in fields(Entry)}
    if not isinstance(found, dict) or set(found) != names:
        raise UsageError(f"key {number} doesn't have the fields {', '.join(sorted(names))}")
    for name, valid in _VALID.items():
        if not valid(found[name]):
            raise UsageError(f"key {number}: {name} is not what it should be")
    return Entry(
        **{
            **found,
            "scopes": frozenset(found["scopes"]),
            "created": time_of(found["created"]),
            "expires": found["expires"] and time_of(found["expires"]),
            "revoked": found["revoked"] and time_of(found["revoked"]),
        }
    )


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(time_of(value))
    except ValueError:
        return False


_VALID: dict[str, Any] = {
    "id": lambda value: isinstance(value, str) and is_short(value),
    "name": lambda value: isinstance(value, str) and _NAME.fullmatch(value),
    "scopes": lambda value: (
        isinstance(value, list)
        and value
        and all(isinstance(scope, str) and scope in get_args(Scope) for scope in value)
    ),
    "sha256": lambda value: isinstance(value, str) and _SHA256.fullmatch(value),
    "created": _is_time,
    "expires": lambda value: value is None or _is_time(value),
    "revoked": lambda value: value is None or _is_time(value),
    "replaces": lambda value: value is None or (isinstance(value, str) and is_short(value)),
}
