"""A server of the page alone that can be told what to refuse and when to answer."""

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


@dataclass
class Desk:
    """What a server is told: ``refusals`` are for the next photos, answers wait for ``gate``."""

    classifier: Classifier
    page: Page
    refusals: deque[Problem] = field(default_factory=deque)
    #: What is other in the next records.
    changes: deque[dict[str, Any]] = field(default_factory=deque)
    #: What is other in the next explanations, and which were asked for.
    maps: deque[dict[str, Any]] = field(default_factory=deque)
    explained: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    url: str = ""


def make_page(classifier: Classifier, **options: Any) -> Page:
    """The page of a server that keeps nothing and asks for no key, unless ``options`` say so."""
    nothing = {"auth": "none", "keeps": False, "traces": False, "keep_exif": False}
    info = classifier.info
    given = {"version": __version__, "model": info.id, "labels": info.labels, **options}
    usual = {"max_body": 32 << 20, "explains": True}
    return Page(**{**nothing, **usual, **given})


@contextlib.contextmanager
def page_server(classifier: Classifier, **options: Any) -> Iterator[Desk]:
    """A desk that is open while the block runs, with the page of these ``options``."""
    desk = Desk(classifier, make_page(classifier, **options))
    desk.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"desk": desk}))
    server.daemon_threads = True
    desk.url = f"http://127.0.0.1:{server.server_port}"
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
        lang = parse_qs(urlsplit(self.path).query).get("lang", [None])[0]
        body, headers = self.desk.page.render(self.headers["Accept-Language"], lang)
        self._answer(200, body, headers)

    def do_POST(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.desk.gate.wait()
        try:
            if self.desk.refusals:
                raise self.desk.refusals.popleft()
            if asked.path == "/v1/explain":
                record = self._explanation(body, query["label"][0], query["lang"][0])
            else:
                record = self._record(body, Query(int(query["top_k"][0]), query["lang"][0]))
        except Problem as problem:
            text, headers = json.dumps(problem.to_record("0-0")), problem.headers
            self._answer(problem.status, text.encode(), {"Content-Type": MEDIA_TYPE, **headers})
            return
        self.desk.answered += 1
        text = json.dumps({"request_id": "0-0", **record})
        self._answer(200, text.encode(), {"Content-Type": "application/json"})

    def _record(self, body: bytes, query: Query) -> dict[str, Any]:
        record: dict[str, Any] = {**self.desk.classifier.result(body, query).to_record()}
        if error := record["error"]:
            status = STATUS_OF_IMAGE_ERROR[error["code"]]
            raise Problem(status, error["code"], error["message"])
        return record | (self.desk.changes.popleft() if self.desk.changes else {})

    def _explanation(self, body: bytes, label: str, lang: str) -> dict[str, Any]:
        self.desk.explained.append(label)
        record = self.desk.classifier.explain(body, label, lang=lang).to_record()
        record["explanation"] |= self.desk.maps.popleft() if self.desk.maps else {}
        return record

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a page that was closed meanwhile
            self.wfile.write(body)
