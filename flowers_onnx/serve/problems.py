"""Refusals, as RFC 9457 has them: ``application/problem+json`` with stable codes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flowers_onnx.errors import FlowersError

MEDIA_TYPE = "application/problem+json"

#: Of refusals that a later try may not meet; nobody waits longer than a few photos take.
RETRY_SOON: Mapping[str, str] = {"Retry-After": "1"}

#: The status of an image without an answer, by the code that its record has.
STATUS_OF_IMAGE_ERROR = {
    "is_empty": 400,
    "bad_request": 400,
    "not_an_image": 415,
    "unsupported": 415,
    "truncated": 422,
    "corrupt": 422,
    "too_large": 422,
    "internal_error": 500,
}


class Problem(FlowersError):  # noqa: N818  the word of RFC 9457
    """A request that gets no answer but a refusal; raised anywhere below a route.

    ``code`` is stable: one of ``IMAGE_ERROR_CODES``, or one that docs/serving.md lists.
    ``headers`` go with the answer; ``caller`` is who was refused, where that isn't said otherwise.
    """

    caller: str | None = None

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """What the status says."""
        return HTTPStatus(self.status).phrase

    def to_record(self, request_id: str | None) -> dict[str, Any]:
        """The body of the answer; no id for what never became a request."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        }
