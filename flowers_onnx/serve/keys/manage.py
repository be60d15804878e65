"""Changes of a ring: each gives a new one. All raise ``UsageError`` for what makes no sense."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keys import Scope
from flowers_onnx.serve.keys.key import Key, is_short, looks_like_key, new_key, parse
from flowers_onnx.serve.keys.ring import Entry, Ring, check_name


def add(
    ring: Ring, name: str, scopes: Iterable[Scope], expires: datetime | None, now: datetime
) -> tuple[Ring, Key]:
    """With a key of a name that no live one has."""
    check_name(name)
    for entry in ring.entries:
        if entry.name == name and entry.state(now) == "live":
            raise UsageError(
                f"there is a live key of the name {name}, {entry.id}: rotate it, or choose "
                "another name"
            )
    return _with_new(ring, Entry("", name, frozenset(scopes), "", now, expires))


def rotate(
    ring: Ring, who: str, grace: timedelta, expires: datetime | None, now: datetime
) -> tuple[Ring, Key, Entry]:
    """With a key in the place of another, which is let in for ``grace`` more; and that one.

    The new key lives as long as the old one was made to, unless ``expires`` says otherwise.
    """
    *_, old = _found(ring, who)  # by name, the newest
    replaced_by = [e.id for e in ring.entries if e.replaces == old.id and e.state(now) == "live"]
    if replaced_by:
        raise UsageError(f"key {old.id} was rotated before: {replaced_by[0]} is in its place")
    if old.state(now) == "revoked":
        raise UsageError(f"key {old.id} ({old.name}) is revoked: add a new one")
    if expires is None and old.expires is not None:
        expires = now + (old.expires - old.created)
    last = now + grace
    ending = replace(old, expires=last if old.expires is None else min(last, old.expires))
    entries = [ending if entry is old else entry for entry in ring.entries]
    new = Entry("", old.name, old.scopes, "", now, expires, replaces=old.id)
    return (*_with_new(Ring(entries), new), ending)


def revoke(ring: Ring, who: str, now: datetime) -> tuple[Ring, list[Entry]]:
    """Without the key of an id, or all keys of a name; and those that were not revoked before."""
    ending = [entry for entry in _found(ring, who) if entry.revoked is None]
    if not ending:
        raise UsageError("that key is revoked already")
    entries = [replace(e, revoked=now) if e in ending else e for e in ring.entries]
    return Ring(entries), ending


def _with_new(ring: Ring, entry: Entry) -> tuple[Ring, Key]:
    key = new_key()
    while any(other.id == key.id for other in ring.entries):
        key = new_key()
    return Ring([*ring.entries, replace(entry, id=key.id, sha256=key.sha256)]), key


def _found(ring: Ring, who: str) -> list[Entry]:
    """The keys that ``who`` means: an id, a name, or a whole key, which isn't shown."""
    if looks_like_key(who):
        key = parse(who)
        if key is None:
            raise UsageError("that key is damaged: say its id, the 8 characters behind flw_")
        who = key.id
    if is_short(who) and (found := [e for e in ring.entries if e.id == who]):
        return found
    found = [entry for entry in ring.entries if entry.name == who]
    if not found:
        raise UsageError(f"there is no key {who}: flowers keys list shows all")
    return found
