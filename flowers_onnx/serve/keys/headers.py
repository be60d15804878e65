"""What callers send to say who they are, and what they are told if that isn't enough."""

from __future__ import annotations

from flowers_onnx.serve.problems import Problem


def refusal(*, given: bool) -> Problem:
    """401. It doesn't say what was wrong with what was ``given``: that would help to guess."""
    if not given:
        return Problem(
            401,
            "unauthorized",
            "this needs a key or a token: Authorization: Bearer ...",
            {"WWW-Authenticate": 'Bearer realm="flowers"'},
        )
    return Problem(
        401,
        "unauthorized",
        "the key or the token is not valid",
        {"WWW-Authenticate": 'Bearer realm="flowers", error="invalid_token"'},
    )


def bearer(header: str | None) -> str | None:
    """The credentials of an ``Authorization: Bearer`` header."""
    scheme, _, credentials = (header or "").strip().partition(" ")
    return (credentials.strip() or None) if scheme.lower() == "bearer" else None
