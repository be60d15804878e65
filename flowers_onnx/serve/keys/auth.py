"""Stand-in until the real ones come."""

from __future__ import annotations

from collections.abc import Mapping

from flowers_onnx.serve.keys import ANYBODY, Authenticator, Caller
from flowers_onnx.serve.options import Options


class Anybody:
    kind = "none"

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        return ANYBODY


def open_authenticator(options: Options) -> Authenticator:
    return Anybody()


def is_loopback(host: str) -> bool:
    return host in {"127.0.0.1", "::1", "localhost"}
