"""Google's identity tokens: who asks is who Google says he is.

https://cloud.google.com/docs/authentication/token-types#id
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from flowers_onnx.extras import missing_extra
from flowers_onnx.serve.keys import Caller, Scope
from flowers_onnx.serve.keys.headers import bearer, refusal
from flowers_onnx.serve.keys.refresh import Fresh
from flowers_onnx.serve.problems import Problem

try:
    from google.oauth2 import id_token

    from flowers_onnx.storage.http import connections, send
except ImportError as error:
    raise missing_extra("gcs", "--auth iam") from error

CERTIFICATES = "https://www.googleapis.com/oauth2/v1/certs"
#: Seconds: Google announces a certificate days before it signs with it.
CERTIFICATES_EVERY = 3600.0
#: Verified tokens that are remembered. Each is good for an hour at most.
MOST_TOKENS = 1024
#: Seconds by which Google's clock and ours may differ.
CLOCK_SKEW = 10
#: Bytes; Google's have a thousand.
MAX_TOKEN = 8192

_SCOPES: frozenset[Scope] = frozenset({"classify", "metrics"})


def fetch_certificates() -> bytes:
    """Google's certificates, as JSON. Raises ``StorageError``, ``ValueError`` for what isn't."""
    data = send(connections(CERTIFICATES), "GET", CERTIFICATES, limit=1 << 20)[1]
    json.loads(data)
    return data


class _Known(NamedTuple):
    email: str
    expires: float


class _Response(NamedTuple):
    """As google-auth's transports give it."""

    status: int
    data: bytes


class IamAuthenticator:
    """Tokens that Google signed for ``audience`` and one of ``emails``.

    In ``Authorization: Bearer`` or ``X-Serverless-Authorization``: the former first, since Cloud
    Run's own check takes the signature off the latter. ``fetch`` gets the certificates, and is
    called in a thread.
    """

    kind = "iam"

    def __init__(
        self,
        audience: str,
        emails: Collection[str],
        *,
        fetch: Callable[[], bytes] = fetch_certificates,
        now: Callable[[], float] = time.time,
        most: int = MOST_TOKENS,
    ) -> None:
        self._audience, self._now, self._most = audience, now, most
        self._emails = {email.lower() for email in emails}
        self._certificates = Fresh(fetch, "Google's certificates", CERTIFICATES_EVERY, retry=5.0)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        token = bearer(headers.get("authorization")) or bearer(
            headers.get("x-serverless-authorization")
        )
        if token is None:
            raise refusal(given=False)
        if len(token) > MAX_TOKEN:
            raise refusal(given=True)
        name = hashlib.sha256(token.encode()).digest()
        known = self._known.get(name)
        if known is None or known.expires <= self._now():
            known = self._verify(token, await self._certificates.get())
            self._remember(name, known)
        return Caller(known.email, _SCOPES)

    def _verify(self, token: str, certificates: bytes | None) -> _Known:
        """Without disk or network: a fraction of a millisecond of CPU."""
        if certificates is None:
            raise Problem(
                503,
                "keys_unavailable",
                "Google's certificates can't be had just now",
                {"Retry-After": "5"},
            )
        try:
            claims = id_token.verify_oauth2_token(
                token,
                lambda _url, **_: _Response(200, certificates),
                self._audience,
                clock_skew_in_seconds=CLOCK_SKEW,
            )
            email, expires = str(claims.get("email", "")).lower(), float(claims["exp"])
        except Exception:  # a token can be wrong in many ways
            raise refusal(given=True) from None
        if claims.get("email_verified") is not True or email not in self._emails:
            refused = Problem(403, "forbidden", "this token is of nobody who is let in")
            refused.caller = email or None
            raise refused
        return _Known(email, expires)

    def _remember(self, name: bytes, known: _Known) -> None:
        self._known[name] = known
        self._known.move_to_end(name)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
