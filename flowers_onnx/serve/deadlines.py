"""Connections that a slow or silent client can't hold.

uvicorn knows one deadline, between two requests. Half a header never reaches the application, and
half a body waits for ever, so the guard is where the bytes arrive: a header has ``HEADER_SECONDS``,
a body ``BODY_SECONDS`` and more the more of it has come, at ``LEAST_RATE``; answers that nobody
takes end the connection. What is refused before its body has come is read for ``LINGER_SECONDS``
longer, since a reset would take the refusal from the client.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flowers_onnx.serve.problems import MEDIA_TYPE, Problem

HEADER_SECONDS = 5
BODY_SECONDS = 7
#: Bytes a second that keep a large upload alive.
LEAST_RATE = 32 << 10
#: For an answer that fills the system's buffers, to be taken.
WRITE_SECONDS = 8
LINGER_SECONDS = 2
MAX_HEADER_BYTES = 32 << 10
MAX_HEADERS = 100
#: Each chunk costs, however small; so many may be smaller than this on average.
MAX_SMALL_PARTS, LEAST_PART = 1000, 64
#: Connections beyond the most that are told so; each lingers, and takes a descriptor meanwhile.
MAX_TOLD = 50
#: Requests that a client may send before it has the answer to the first.
MAX_PIPELINED = 16


_OF_AN_UPGRADE = frozenset({b"connection", b"upgrade", b"http2-settings"})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection, with deadlines for all that it waits for."""

    #: More connections are closed as they come; set by ``run``.
    max_connections = 1000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_header = True  # the next bytes are, or would be, those of a header
        self._in_body = False
        self._refused = False
        self._fed = b""
        self._body_began = 0.0
        self._body_bytes = self._body_parts = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        more = len(self.connections) - self.max_connections
        if more > MAX_TOLD:
            transport.abort()
        elif more > 0:
            self._refuse(Problem(503, "too_many_connections", "too many connections"))
        else:
            self._wait(HEADER_SECONDS, self._header_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._written()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_header:
            self._header_bytes += len(data)
        self._fed = data
        super().data_received(data)
        if self._in_header and not self._refused:
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse_header()
            elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
                self._wait(HEADER_SECONDS, self._header_is_late)  # empty lines begin no message

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            self._refuse(Problem(400, "bad_request", msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Answer a request that would rather have another protocol (Java's and curl's h2c).

        The parser has stopped behind its header, and would take its body for that protocol.
        """
        if self._refused:
            return
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(Problem(405, "method_not_allowed", "this is no proxy"))
            return
        stopped = sys.exc_info()[1]
        rest = self._fed[stopped.args[0] :] if stopped else b""
        fields = [(name, value) for name, value in self.headers if name not in _OF_AN_UPGRADE]
        if any(b"close" in value.lower() for name, value in self.headers if name == b"connection"):
            fields.append((b"connection", b"close"))
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.data_received(b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, self.url, version, head, rest))

    # The parser's words.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is None:
            self._wait(HEADER_SECONDS, self._header_is_late)

    def on_headers_complete(self) -> None:
        if self._refused or self.parser.should_upgrade():  # it comes again without its wish
            return
        self._stop_waiting()
        self._in_header, self._header_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse_header()
            return
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts != 1 and self.parser.get_http_version() == "1.1":  # RFC 9112, section 3.2
            self._refuse(Problem(400, "bad_request", "a request needs one Host"))
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refused = True
            self.transport.abort()
            return
        self._in_body, self._body_began = True, time.monotonic()
        self._body_bytes = self._body_parts = 0
        self._wait(BODY_SECONDS, self._body_is_late)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            self._body_bytes += len(body)
            self._body_parts += 1
            if (
                self._body_parts > MAX_SMALL_PARTS
                and self._body_bytes < LEAST_PART * self._body_parts
            ):
                self._refuse(Problem(400, "bad_request", "the body comes in too small chunks"))
                return
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not (self._refused or self.parser.should_upgrade()):
            self._in_header, self._in_body = True, False
            self._stop_waiting()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_written()
        elif self._in_body and self.cycle.response_complete:  # not that of one behind it
            self._wait(LINGER_SECONDS, self.transport.abort)

    # The transport's words.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_written()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._written()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_written()

    def cut(self) -> None:
        """End a connection whose request isn't there yet: nobody will wait for the rest of it."""
        if self._in_body or (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()

    def _wait(self, seconds: float, late: Any) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_written(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def _written(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _header_is_late(self) -> None:
        self._timer = None
        if self._header_bytes:
            self._refuse(Problem(408, "incomplete_header", "the header took too long"))
        else:
            self.transport.abort()

    def _body_is_late(self) -> None:
        self._timer = None
        late = time.monotonic() - self._body_began - BODY_SECONDS
        allowed = self._body_bytes / LEAST_RATE
        if self.flow.read_paused:  # by us
            self._wait(1, self._body_is_late)
        elif late < allowed:
            self._wait(max(0.1, allowed - late), self._body_is_late)
        elif self.cycle.response_started:
            self.transport.abort()
        else:  # the application learns of it when the connection ends, and notes the request
            self._refuse(Problem(408, "incomplete_body", "the body took too long"))

    def _refuse_header(self) -> None:
        self._refuse(
            Problem(
                431,
                "header_too_large",
                f"a header has at most {MAX_HEADERS} fields and {MAX_HEADER_BYTES} bytes",
            )
        )

    def _refuse(self, problem: Problem) -> None:
        """Answer a request that never gets as far as the application."""
        self._refused = True
        self._stop_waiting()
        body = json.dumps(problem.to_record(None), allow_nan=False).encode()
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._wait(LINGER_SECONDS, self.transport.abort)
