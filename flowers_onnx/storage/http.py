"""HTTP requests that don't give up at once."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from flowers_onnx.errors import StorageError
from flowers_onnx.storage.failures import one_line, refuse_larger
from flowers_onnx.storage.item import Admit

#: Pauses of 0, 1, 2, 4, 8 and 16 seconds and some jitter: half a minute in all.
RETRIES = urllib3.Retry(
    total=6,
    allowed_methods=None,  # all: every request of the stores can be repeated
    status_forcelist={408, 429, 500, 502, 503, 504},
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=30,
    respect_retry_after_header=False,  # it may say hours
)
#: Seconds for a connection, and for the next bytes of an answer.
TIMEOUT = urllib3.Timeout(connect=10, read=30)
#: Connections kept open; more are made when more threads ask.
CONNECTIONS = 64
#: The answer to a request whose condition doesn't hold.
PRECONDITION_FAILED = 412


def connections(endpoint: str) -> urllib3.PoolManager:
    """Connections that threads may share, by way of the proxy that the environment names."""
    parts = urlsplit(endpoint)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, maxsize=CONNECTIONS, timeout=TIMEOUT)
    return urllib3.PoolManager(maxsize=CONNECTIONS, timeout=TIMEOUT)


def send(
    http: Any,
    method: str,
    url: str,
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int | None = None,
    admit: Admit | None = None,
    accepted: Container[int] = (),
) -> tuple[urllib3.BaseHTTPResponse, bytes]:
    """The answer to a request, and its body of at most ``limit`` bytes.

    ``http`` is a ``PoolManager`` or alike: it repeats what fails before the answer's body,
    this what fails within. ``admit`` is told the size of a body that has a limit, or that limit,
    before it is read. Raises ``StorageError`` when that doesn't help, and for an answer of
    300 or more that isn't ``accepted``.
    """
    retries = RETRIES
    try:
        while True:
            response = http.request(
                method,
                url,
                body=body,
                headers=dict(headers or {}),
                retries=retries,
                redirect=False,
                preload_content=False,
            )
            try:
                data = _body(response, limit, admit)
                break
            except HTTPError as error:
                retries = (response.retries or retries).increment(method, url, error=error)
                retries.sleep()
    except MaxRetryError as error:
        raise StorageError("read_error", one_line(error.reason)) from error
    except HTTPError as error:
        raise StorageError("read_error", one_line(error)) from error
    if response.status >= 300 and response.status not in accepted:
        raise refusal(response.status, _reason(data))
    return response, data


def _body(response: urllib3.BaseHTTPResponse, limit: int | None, admit: Admit | None) -> bytes:
    try:
        if limit is None or response.status >= 300:
            data = response.read(decode_content=False)
        else:
            size = response.length_remaining
            refuse_larger(size, limit)
            if admit:
                admit(limit if size is None else size)
            data = response.read(limit + 1, decode_content=False)
            refuse_larger(len(data), limit)
    finally:
        response.close()
    if response.length_remaining:
        raise ProtocolError(f"{response.length_remaining} bytes are missing")
    if response.status == 200:
        _check_sum(response.headers, data)
    return data


def _check_sum(headers: Mapping[str, str], data: bytes) -> None:
    """Compare with the MD5 that GCS sends, which is that of the object as it is stored."""
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return  # the server has unpacked it
    expected = re.search(r"md5=([\w+/]+=*)", headers.get("x-goog-hash", ""))
    if expected is None:
        return
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    if base64.b64encode(digest).decode() != expected[1]:
        raise ProtocolError("what arrived has another checksum than what is stored")


def refusal(status: int, reason: str) -> StorageError:
    """The error for an answer of 300 or more."""
    if status == 404:
        return StorageError("not_found", "no such bucket or object")
    reason = f"HTTP {status}, {one_line(reason)}"
    if status in {401, 403}:
        return StorageError("permission_denied", f"permission denied: {reason}")
    return StorageError("read_error", reason)


def _reason(body: bytes) -> str:
    """What the server says in JSON, in XML or in any other way."""
    text = body[:10_000].decode(errors="replace")
    try:
        text = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        if message := re.search(r"<Message>(.*?)</Message>", text, re.DOTALL):
            text = message[1]
    return text
