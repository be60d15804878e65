"""What tells one request from another: our id, the client's, and its trace."""

from __future__ import annotations

import os
import re
import time
import uuid

from flowers_onnx.serve.keys.key import hidden

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PLAIN = re.compile(r"[!-~]{1,128}")


def new_request_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of the time in milliseconds, then chance."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


def plain(text: str | None) -> str | None:
    """A client's own id, None if it is no such thing: ASCII, 128 at most, and no key."""
    return hidden(text) if text and _PLAIN.fullmatch(text) else None


def trace_id(traceparent: str | None) -> str | None:
    """The trace of a W3C ``traceparent``."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match and int(match[1], 16) else None
