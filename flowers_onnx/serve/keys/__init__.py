"""Who may ask: keys of our own, Google's identity tokens, or everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from flowers_onnx.serve.problems import Problem

Scope = Literal["classify", "metrics", "admin"]
#: What a key may be for; ``admin`` includes the others.
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the short id of a key, an e-mail address, or None for anybody."""

    id: str | None
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raise the ``Problem`` of a caller who is known and may not do this."""
        if not self.scopes & {scope, "admin"}:
            raise Problem(403, "forbidden", f"this key is not for {scope}")


#: Who asks where nobody is asked who he is.
ANYBODY = Caller(None, frozenset(SCOPES))


class Authenticator(Protocol):
    """Tells callers from strangers. Used from the event loop's thread alone."""

    #: What the page asks for: ``keys``, ``iam`` or ``none``.
    kind: str

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Who sent these headers (their names in lower case).

        Raises ``Problem``: 401 for no key or a wrong one, with ``WWW-Authenticate``; 403 for one
        that is known and refused; 429 for one that asks too often, with ``Retry-After``; 503
        where the keys can't be had. Never waits for the disk or the network in the loop's thread.
        """
