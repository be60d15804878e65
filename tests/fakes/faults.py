"""A proxy that makes a storage server as unreliable as a network can be."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from fakes.server import Fake

Fault = Literal[
    "unavailable",  # 503
    "too_many",  # 429
    "unauthorized",  # 401, as for a token that has expired
    "moved",  # 301, as from S3 for a bucket of another region
    "refused",  # the connection ends before the answer
    "cut",  # the connection ends in the middle of the body
    "altered",  # one byte of the body is another
    "slow",  # the body comes in two halves, ``Faults.pause`` seconds apart
]


@dataclass
class Faults:
    """Which requests fail, and how.

    A ``rate`` of requests gets one of ``kinds``. Whether the n-th request for a URL does
    depends on the ``seed`` only, not on the order in which threads run. Objects whose
    names are in ``vanishing`` are deleted when they are read first. If ``token`` is set, only
    the token of this number is accepted and given out: the next number ends the last one.
    """

    rate: float = 0
    kinds: tuple[Fault, ...] = ("unavailable", "too_many", "refused", "cut", "slow")
    seed: int = 0
    pause: float = 0.2
    vanishing: set[str] = field(default_factory=set)
    token: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault of this request, if any."""
        # What a server draws or counts is another each time, and so is a signature.
        path = re.sub(r"[?&](X-Amz-[^=]*|upload_id|generation)=[^&]*", "", path)
        with self._lock:
            self._asked[path] += 1
            dice = random.Random(f"{self.seed} {method} {path} {self._asked[path]}")
            if dice.random() >= self.rate:
                return None
            fault = dice.choice(self.kinds)
            self.injected[fault] += 1
            return fault

    def vanishes(self, path: str) -> bool:
        """Whether this is the first request for the content of a vanishing object."""
        parts = urlsplit(path)
        if parts.path.startswith("/storage/") and "media" not in parse_qs(parts.query).get(
            "alt", ()
        ):
            return False
        name = unquote(parts.path)
        with self._lock:
            for found in self.vanishing:
                if name.endswith(f"/{found}"):
                    self.vanishing.remove(found)
                    self.injected["vanished"] += 1
                    return True
        return False


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: Fake, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.faults = target, faults

    def handle_error(self, request: object, client_address: object) -> None:
        """The client may leave whenever it likes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        parts = urlsplit(cast("_Proxy", self.server).target.url)
        self.upstream = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        server = cast("_Proxy", self.server)
        faults = server.faults
        self.path = re.sub(r"^http://[^/]+", "", self.path)  # asked as a proxy by its clients
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token":
            self._give_token(faults)
            return
        if faults.token and self.headers.get("Authorization") != f"Bearer token-{faults.token}":
            self._answer(401, b"{}")
            return
        if self.command == "GET" and faults.vanishes(self.path):
            server.target.request("DELETE", urlsplit(self.path).path)
        match faults.next(self.command, self.path):
            case "unavailable":
                self._answer(503, b"busy")
            case "too_many":
                self._answer(429, b"slow down")
            case "unauthorized":
                self._answer(401, b"{}")
            case "moved":
                self._answer(301, b"<Error><Message>another region</Message></Error>")
            case "refused":
                self.close_connection = True
            case fault:
                status, headers, content = self._forward(self.command, self.path, body)
                self._answer(status, content, headers, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - names of the base

    def _forward(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        skipped = {"host", "content-length", "transfer-encoding", "connection"}
        headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
        self.upstream.request(method, path, body or None, headers)
        response = self.upstream.getresponse()
        content = response.read()
        return response.status, response.getheaders(), content

    def _answer(
        self,
        status: int,
        content: bytes,
        headers: list[tuple[str, str]] | None = None,
        fault: str | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers or ():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date"}:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        else:
            lengths = [v for k, v in headers or () if k.lower() == "content-length"]
            self.send_header("Content-Length", lengths[0] if lengths else "0")
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(content) // 2
        if fault == "altered" and content:
            content = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        self.wfile.write(content[:half])
        if fault == "cut":
            self.close_connection = True
            return
        if fault == "slow":
            self.wfile.flush()
            time.sleep(cast("_Proxy", self.server).faults.pause)
        self.wfile.write(content[half:])

    def _give_token(self, faults: Faults) -> None:
        token = b'{"access_token": "token-%d", "expires_in": 3600, "token_type": "Bearer"}'
        self._answer(200, token % faults.token, [("Content-Type", "application/json")])


def _with_token(address: str, folder: str) -> dict[str, str]:
    """The variables of a client that gets its tokens from the proxy."""
    path = os.path.join(folder, "credentials.json")
    account = {
        "type": "external_account_authorized_user",  # the type whose file names the token server
        "audience": "//iam.googleapis.com/locations/global/workforcePools/pool/providers/provider",
        "refresh_token": "refresh",
        "client_id": "id",
        "client_secret": "secret",
        "token_url": f"{address}/token",
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(account, file)
    return {"API_ENDPOINT_OVERRIDE": address, "GOOGLE_APPLICATION_CREDENTIALS": path}


@contextlib.contextmanager
def unreliable(fake: Fake, faults: Faults) -> Iterator[Fake]:
    """``fake`` behind a proxy with ``faults``, which may be changed while it runs.

    Only clients that are sent there by ``env`` suffer: ``url`` and ``put`` lead to the server.
    With ``Faults.token``, ``env`` has credentials for GCS.
    """
    proxy = _Proxy(fake, faults)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        host, port = proxy.server_address[:2]
        address = f"http://{host!s}:{port}"
        env = {key: address if value == fake.url else value for key, value in fake.env.items()}
        with tempfile.TemporaryDirectory() as folder:
            yield replace(fake, env=_with_token(address, folder) if faults.token else env)
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
