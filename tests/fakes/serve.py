"""A server of the page alone: real answers, or the refusals that it was told to give."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flowers_onnx import Classifier, __version__
from flowers_onnx.results import Query
from flowers_onnx.serve.page.page import Page
from flowers_onnx.serve.problems import MEDIA_TYPE, STATUS_OF_IMAGE_ERROR, Problem

#: The only key that is let in, and one that is known and may do nothing here.
KEY = "flw_tests_0123456789abcdef"
OTHER_KEY = "flw_other_0123456789abcdef"


@dataclass
class Desk:
    """What a server is told, and what came in: query, headers and body of each photo."""

    classifier: Classifier
    page: Page
    auth: str = "none"
    refusals: deque[Problem] = field(default_factory=deque)  # given to the next photos
    received: list[tuple[dict[str, str], dict[str, str], bytes]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)  # answers wait for it
    url: str = ""


@contextlib.contextmanager
def page_server(classifier: Classifier, **options: Any) -> Iterator[Desk]:
    """A desk that is open while the block runs; ``options`` are those of ``Page``."""
    given = {"auth": "none", "keeps": False, "keep_exif": False, "max_body": 32 << 20, **options}
    info = classifier.info
    page = Page(version=__version__, model=info.id, labels=info.labels, **given)
    desk = Desk(classifier, page, given["auth"])
    desk.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"desk": desk}))
    server.daemon_threads = True
    desk.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield desk
    finally:
        desk.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    desk: Desk

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/":
            self._answer(404, b"", {})
            return
        lang = parse_qs(parts.query).get("lang", [None])[0]
        body, headers = self.desk.page.render(self.headers["Accept-Language"], lang)
        self._answer(200, body, headers)

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.desk.gate.wait()
        try:
            assert parts.path == "/v1/classify"
            self._admit()
            self.desk.received.append((query, dict(self.headers), body))
            record = self._record(body, query)
        except Problem as problem:
            text, headers = json.dumps(problem.to_record("0-0")), problem.headers
            self._answer(problem.status, text.encode(), {"Content-Type": MEDIA_TYPE, **headers})
            return
        text = json.dumps({"request_id": "0-0", **record})
        self._answer(200, text.encode(), {"Content-Type": "application/json"})

    def _admit(self) -> None:
        if self.desk.auth != "none":
            given = self.headers["Authorization"]
            if given == f"Bearer {OTHER_KEY}":
                raise Problem(403, "forbidden", "this key may not do that")
            if given != f"Bearer {KEY}":
                raise Problem(401, "unauthorized", "no such key")
        if self.desk.refusals:
            raise self.desk.refusals.popleft()

    def _record(self, body: bytes, query: dict[str, str]) -> dict[str, Any]:
        wanted = Query(int(query["top_k"]), query["lang"])
        record: dict[str, Any] = {**self.desk.classifier.result(body, wanted).to_record()}
        if error := record["error"]:
            status = STATUS_OF_IMAGE_ERROR[error["code"]]
            raise Problem(status, error["code"], error["message"])
        return record

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
