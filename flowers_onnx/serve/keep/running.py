"""What all ``Answers`` share: requests under way, and the refusals."""

from __future__ import annotations

import hashlib

from flowers_onnx.serve.problems import RETRY_SOON, Problem


class Running:
    """Requests that this process answers just now, by key."""

    def __init__(self) -> None:
        self._fingerprints: dict[str, str] = {}

    def begin(self, key: str, fingerprint: str) -> None:
        """Raise ``Problem`` if there is one with this key."""
        if (found := self._fingerprints.get(key)) is not None:
            check_request(found, fingerprint)
            raise in_progress()
        self._fingerprints[key] = fingerprint

    def end(self, key: str) -> None:
        """It has its answer, or will have none."""
        self._fingerprints.pop(key, None)


def check_request(found: str, fingerprint: str) -> None:
    """Raise ``Problem`` if a key belongs to another request than this one."""
    if found != fingerprint:
        raise Problem(
            422, "idempotency_key_reused", "this Idempotency-Key was used for another request"
        )


def in_progress() -> Problem:
    """The refusal while the first request with a key is answered."""
    return Problem(
        409,
        "idempotency_key_in_use",
        "the first request with this Idempotency-Key is being answered",
        RETRY_SOON,
    )


def digest_of(key: str) -> str:
    """What stands for a key: callers choose keys, and may put anything into them."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
