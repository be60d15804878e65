"""Slow, silent and broken connections, and the end of the process."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from serving import Reply, read_reply, request, serving
from support import posix

pytestmark = posix

#: What the issue and docs/serving.md promise, in seconds, and room for a busy machine.
PROMISED, ROOM = 10, 20

HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\n"

#: What is sent first, and then every half second.
SLOW = {
    "silent": (b"", b""),
    "half a header": (HEAD, b""),
    "a header in drops": (HEAD, b"A: b\r\n"),
    "empty lines": (b"\r\n", b"\r\n"),
    "half a body": (HEAD + b"Content-Length: 1000\r\n\r\nabc", b""),
    "a body in drops": (HEAD + b"Content-Length: 1000\r\n\r\nabc", b"x"),
    "chunks in drops": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a refused body": (HEAD + b"Content-Length: 99999999\r\n\r\n", b"x"),
    "idle": (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    "200 fields": (HEAD + b"A: b\r\n" * 200 + b"\r\n", b"x"),
    "a huge header": (HEAD + b"A: " + b"b" * 70_000, b"b"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
}


def lasts(port: int, first: bytes, then: bytes) -> float:
    """Seconds until the server ends a connection."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.5)
        try:
            connection.sendall(first)
            while time.monotonic() - began < PROMISED + ROOM:
                try:
                    if not connection.recv(1 << 16):
                        break
                except TimeoutError:
                    connection.sendall(then)
        except OSError:
            pass
    return time.monotonic() - began


def test_no_client_holds_a_connection_and_others_are_served_meanwhile(sample: Path) -> None:
    lasted: dict[str, float] = {}
    with serving() as server:

        def measure(name: str) -> None:
            lasted[name] = lasts(server.port, *SLOW[name])

        threads = [threading.Thread(target=measure, args=[name]) for name in SLOW]
        for thread in threads:
            thread.start()
        served = 0
        while any(thread.is_alive() for thread in threads):
            assert server.classify(sample.read_bytes()).status == 200
            served += 1
            time.sleep(0.2)
        assert served
    # Each kind has an end of its own; a busy machine may make it later, but nothing else.
    assert lasted.keys() == SLOW.keys()
    assert max(lasted.values()) < PROMISED + ROOM, lasted


def test_a_client_that_takes_no_answers_is_cut(sample: Path) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving() as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.settimeout(PROMISED + ROOM)

        def ask_for_ever() -> None:
            while True:  # the answers fill all buffers, then the requests do
                connection.sendall(asked * 8)
                time.sleep(0.01)

        with pytest.raises(OSError, match=r"reset|pipe"):
            ask_for_ever()
        assert server.classify(sample.read_bytes()).status == 200


def test_a_slow_upload_that_goes_on_is_no_attack(sample: Path) -> None:
    photo = sample.read_bytes()
    body = photo + bytes(700_000 - len(photo))  # what is behind a picture doesn't matter
    with serving() as server, server.connect() as connection:
        head = request(b"", content_length=str(len(body)))
        connection.sendall(head)
        for start in range(0, len(body), 70_000):
            time.sleep(1)
            connection.sendall(body[start : start + 70_000])
        reply = read_reply(connection)
    assert reply is not None
    assert reply.status == 200


def test_sigterm_answers_what_was_accepted_cuts_half_uploads_and_exits_with_0(
    sample: Path,
) -> None:
    replies: list[Reply | None] = []
    with serving("--slots", "1", "--queue", "20") as server:
        halves = [server.connect() for _ in range(20)]
        for half in halves:
            half.sendall(request(b"")[:-4] + b"\r\ncontent-length: 1000\r\n\r\nabc")
        whole = [server.connect() for _ in range(10)]
        for connection in whole:
            connection.sendall(request(sample.read_bytes()))
        while "requests_admitted 0.0" in server.ask("GET", "/metrics").body.decode():
            pass  # until the first of them is there
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        replies = [read_reply(connection) for connection in whole]
        assert server.process.wait(PROMISED + ROOM) == 0
        for connection in halves + whole:
            connection.close()
    assert [reply and reply.status for reply in replies] == [200] * 10


def test_readyz_says_no_once_it_is_stopping_and_ctrl_c_stops_too() -> None:
    with serving() as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PROMISED + ROOM) == 0
        assert "stopped" in server.stderr
