"""The doors: keys of our own, Google's identity tokens, or none."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keys import ANYBODY, Authenticator, Caller
from flowers_onnx.serve.keys.headers import bearer, refusal
from flowers_onnx.serve.keys.key import parse
from flowers_onnx.serve.keys.limits import RateLimit, RateLimited
from flowers_onnx.serve.keys.place import KeyFile, chosen_place, key_file
from flowers_onnx.serve.keys.refresh import Fresh
from flowers_onnx.serve.keys.ring import Ring
from flowers_onnx.serve.options import Options

#: Seconds after which a file is read even if it looks as before: not every mount tells.
REREAD = 30.0


def open_authenticator(options: Options) -> Authenticator:
    """The door that ``options`` ask for; what it needs is read.

    Raises ``UsageError`` for options that don't go together, for no file of keys or one that
    can't be read, and for a missing extra; ``StorageError`` if that can't be told.
    """
    _check(options)
    door: Authenticator
    match options.auth:
        case "keys":
            place = chosen_place(options.keys)
            if place is None:
                raise UsageError(
                    "--auth keys needs --keys PLACE: flowers keys add NAME --keys PLACE makes it"
                )
            door = KeyAuthenticator(key_file(place))
        case "iam":
            from flowers_onnx.serve.keys.iam import IamAuthenticator

            if options.audience is None or not options.emails:
                raise UsageError(
                    "--auth iam needs --audience and --emails: anybody can have a token of Google "
                    "for any audience"
                )
            door = IamAuthenticator(options.audience, options.emails)
        case _:
            door = Open()
    return RateLimited(door, RateLimit(options.rate)) if options.rate else door


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on ``host``.

    A name but localhost counts as reachable: what it means may change.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Open:
    """No door: everybody is let in, and all are one."""

    kind = "none"

    async def caller(self, headers: Mapping[str, str]) -> Caller:  # noqa: ARG002  of the protocol
        return ANYBODY


class KeyAuthenticator:
    """Keys of our own, in ``X-API-Key`` or ``Authorization: Bearer``.

    The former first: a proxy may need the latter for itself. Raises as ``KeyFile.load`` does.
    """

    kind = "keys"

    def __init__(
        self,
        file: KeyFile,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, loader = now, _Loader(file, clock)
        self._ring = Fresh(loader.load, "the keys", file.every, clock=clock)
        ring = loader.load()
        self._ring.put(ring)
        if not ring.live(now()):
            say(f"flowers: no key at {file.place} is live: nobody gets in")

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        text = (headers.get("x-api-key") or "").strip() or bearer(headers.get("authorization"))
        if text is None:
            raise refusal(given=False)
        key = parse(text)
        if key is None:
            raise refusal(given=True)
        ring = await self._ring.get()
        entry = ring.find(key, self._now()) if ring else None
        if entry is None:
            raise refusal(given=True)
        return Caller(entry.id, entry.scopes)


class _Loader:
    """Reads the keys of a file when they have changed."""

    def __init__(self, file: KeyFile, clock: Callable[[], float]) -> None:
        self._file, self._clock = file, clock
        self._signature: object = None
        self._ring: Ring | None = None
        self._read_at = 0.0

    def load(self) -> Ring:
        signature, now = self._file.signature(), self._clock()
        same = signature is not None and signature == self._signature
        if self._ring is None or not same or now - self._read_at >= REREAD:
            self._ring = self._file.load()
            self._signature, self._read_at = signature, now
        return self._ring


def _check(options: Options) -> None:
    for flag, given, auth in (
        ("keys", options.keys, "keys"),
        ("audience", options.audience, "iam"),
        ("emails", options.emails, "iam"),
    ):
        if given and options.auth != auth:
            raise UsageError(f"--{flag} is for --auth {auth}")
