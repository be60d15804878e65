"""The same answer to the same request: Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

What is remembered, and where, depends on what the server keeps: see ``keep/answers.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer; ``fingerprint`` is that of the request (its body and parameters)."""

    fingerprint: str
    request_id: str
    status: int
    body: str


class Answers(Protocol):
    """Answers by key. A key is that of one caller: another's equal key is another key.

    Used from the event loop's thread alone. All may raise ``StorageError``.
    """

    #: Whose memory it is, for the documentation and the line at start: all instances', or one's.
    scope: str

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        """None: nobody has answered, the caller shall, then ``finish`` or ``release``.

        Raises ``Problem``: 422 if ``key`` was used for another request, 409 while it is answered.
        """

    async def finish(self, key: str, answer: Answer) -> None:
        """Keep the answer, before it is given."""

    async def release(self, key: str) -> None:
        """There is no answer to keep (the server was too busy, say): a later try begins anew."""
