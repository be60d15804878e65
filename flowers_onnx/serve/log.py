"""The log: a line of JSON, or of text, for each request and for what the server has to say.

Lines go to standard error by a thread of their own: whoever reads them slowly, or not at all,
loses lines, which are counted, and never holds an answer up. The names of the fields are those
that Cloud Logging takes out of a line (severity, httpRequest, logging.googleapis.com/trace).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from typing import Any

from flowers_onnx.serve.exchange import Exchange
from flowers_onnx.serve.keys.key import hidden
from flowers_onnx.tables.schema import utc_now

_WAITING = 2000
#: Lines of this long are written together: to wake a thread costs more than to write a line.
_GATHER_SECONDS = 0.02


class Log(logging.Handler):
    """Where all lines go; as a ``logging.Handler`` it takes what uvicorn and others say."""

    def __init__(self, form: str) -> None:
        super().__init__(logging.WARNING)
        self._json = form == "json"
        self._lines: deque[str] = deque()
        self._wanted = threading.Event()
        self._closed = False
        self._project = os.environ.get("GOOGLE_CLOUD_PROJECT")
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="flowers-log", daemon=True)
        self._thread.start()

    def say(self, text: str, severity: str = "INFO", **more: Any) -> None:
        """A line of the server's own."""
        if not self._json:
            self._put(f"flowers: {text}")
            return
        self._put_json({"severity": severity, "time": utc_now(), "message": text, **more})

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of the standard library's ``logging``."""
        more = {}
        if request_id := getattr(record, "request_id", None):
            more["request_id"] = request_id
        if record.exc_info:
            more["stack_trace"] = "".join(traceback.format_exception(*record.exc_info))
        text = record.getMessage().strip()
        if not self._json:
            text = " ".join([text, *more.values()])
        self.say(text, record.levelname, **more)

    def request(self, exchange: Exchange) -> None:
        """The line of a request that has its answer."""
        status, seconds = exchange.status, exchange.seconds
        problem = exchange.problem
        if not self._json:
            detail = f" {problem.code}" if problem else ""
            self._put(
                f"{exchange.time} {exchange.method} {exchange.route} {status}{detail} "
                f"{seconds * 1e3:.0f} ms {exchange.request_id} {exchange.caller or '-'}"
            )
            return
        line: dict[str, Any] = {
            "severity": "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO",
            "time": exchange.time,
            "message": f"{exchange.method} {exchange.route} {status}",
            "httpRequest": {
                "requestMethod": exchange.method,
                "requestUrl": exchange.route,
                "status": status,
                "responseSize": str(exchange.sent),
                "latency": f"{seconds:.6f}s",
                "userAgent": exchange.headers.get("user-agent", "")[:200],
            },
            "request_id": exchange.request_id,
            "client_request_id": exchange.client_request_id,
            "key_id": exchange.caller,
            "queue_ms": exchange.queued and round(exchange.queued * 1e3, 3),
        }
        if exchange.client:
            line["httpRequest"]["remoteIp"] = exchange.client
        if problem:
            line["code"], line["detail"] = problem.code, problem.detail
        if trace := exchange.trace_id:
            if self._project:
                trace = f"projects/{self._project}/traces/{trace}"
            line["logging.googleapis.com/trace"] = trace
        self._put_json(line)

    def close(self) -> None:
        """Write what waits, for a second at most."""
        self._closed = True
        self._wanted.set()
        self._thread.join(1)
        super().close()

    def _put_json(self, line: dict[str, Any]) -> None:
        self._put(json.dumps(line, allow_nan=False))

    def _put(self, line: str) -> None:
        if len(self._lines) >= _WAITING:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._wanted.is_set():
            self._wanted.set()

    def _write(self) -> None:
        while not self._closed or self._lines:
            self._wanted.wait()
            if not self._closed:
                time.sleep(_GATHER_SECONDS)
            self._wanted.clear()  # before the lines are taken: one that comes now wakes us again
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write("".join(f"{hidden(_one_line(line))}\n" for line in lines))
                sys.stderr.flush()


def _one_line(text: str) -> str:
    return "\\n".join(text.splitlines())
