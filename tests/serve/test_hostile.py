"""Requests that no client of good will sends: the right refusal, no crash, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from pathlib import Path

import odd_images
import pytest
from hostile import FILE_NAMES, FORM, Case, cases, chunked
from serving import Reply, Server, StartServer, multipart, read_reply, request
from support import SAMPLE, wait_until

from flowers_onnx.serve.problems import STATUS_OF_IMAGE_ERROR

PHOTO = SAMPLE.read_bytes()
CASES = cases(PHOTO)
#: Of CPU; a hostile request takes milliseconds, and one that finds a quadratic loop far more.
SECONDS = 2


def check(reply: Reply | None, case: Case) -> None:
    assert (reply.status if reply else 0) in case.statuses, (case.name, reply)
    if reply and reply.status >= 400 and case.method != "HEAD":
        assert reply.headers["content-type"] == "application/problem+json"
        problem = reply.json
        assert problem["status"] == reply.status
        assert problem["code"]
        assert "\n" not in problem["detail"]
        assert len(problem["detail"]) < 500


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_a_hostile_request_gets_its_status(server: Server, case: Case) -> None:
    used = server.cpu()
    check(server.raw(case.data, case.method), case)
    assert server.ask("GET", "/livez").status == 200
    assert server.cpu() - used < SECONDS


def test_nothing_is_left_behind(server: Server) -> None:
    server.ask("GET", "/livez")
    before = server.descriptors()
    for case in CASES:
        server.raw(case.data, case.method)
    wait_until(lambda: server.descriptors() <= before)
    assert server.temporary_files() == 0


@pytest.mark.parametrize("name", FILE_NAMES, ids=lambda name: ascii(name[:20]))
def test_a_file_name_is_only_a_name(server: Server, name: str) -> None:
    body = multipart([(name, PHOTO), ("last.jpg", PHOTO)])
    reply = server.classify(body, content_type=FORM)
    assert reply.status in {200, 400}
    if reply.status == 200:
        first, last = reply.json["results"]
        assert first["label"] == last["label"]
        assert last["path"] == "last.jpg"
        path = first["path"] or ""
        assert not {"/", "\\", "\0"} & set(path)
        if FILE_NAMES[name] is not None:
            assert path == FILE_NAMES[name]


def test_the_plain_file_name_counts(server: Server) -> None:  # CVE-2026-53537
    body = multipart([("a.jpg\"; filename*=utf-8''evil.sh; x=\"y", PHOTO)])
    reply = server.classify(body, content_type=FORM)
    assert reply.json["results"][0]["path"] == "a.jpg"


def test_a_bad_file_costs_the_others_nothing(server: Server) -> None:
    body = multipart([("a.jpg", PHOTO), ("b.jpg", b"no image"), ("c", b""), ("d.jpg", PHOTO)])
    reply = server.classify(body, content_type=FORM)
    assert reply.status == 200
    results = reply.json["results"]
    assert [result["status"] for result in results] == ["ok", "error", "error", "ok"]
    assert [result["error"]["code"] for result in results[1:3]] == ["not_an_image", "is_empty"]


def test_odd_images(server: Server, tmp_path: Path) -> None:
    for name, expected in odd_images.make(tmp_path):
        codes = (expected,) if isinstance(expected, str) else expected
        reply = server.classify((tmp_path / name).read_bytes())
        code = "ok" if reply.status == 200 else reply.json["code"]
        assert code in codes, name
        assert reply.status == STATUS_OF_IMAGE_ERROR.get(code, 200)


def test_requests_in_one_piece_are_answered_in_order(server: Server) -> None:
    paths = ["/livez", "/nowhere", "/v1/labels", "/livez"]
    wanted = [200, 404, 200, 200]
    pieces = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths]
    data = b"".join([*pieces, request(PHOTO), *pieces])
    with server.connect() as connection:
        connection.sendall(data)
        # One reader for all: each HTTPResponse would read ahead.
        answers = connection.makefile("rb")
        found = [_next(answers) for _ in range(2 * len(paths) + 1)]
    assert [status for status, _ in found] == [*wanted, 200, *wanted]
    assert json.loads(found[4][1])["label"]


def test_endless_chunks_end(start_server: StartServer) -> None:
    server = start_server("--max_body", "100000")
    for size in (1, 1000, 65_536):
        with server.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(chunked(b"", b""))
                while not select.select([connection], [], [], 0)[0]:
                    connection.sendall((b"%x\r\n%s\r\n" % (size, b"x" * size)) * (65_536 // size))
            reply = read_reply(connection)
        assert reply
        assert reply.status == (400 if size == 1 else 413)
    assert server.cpu() < 10 * SECONDS


def test_many_connections_at_once(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(200)]
        assert server.classify(PHOTO).status == 200
        for connection in silent:
            connection.shutdown(socket.SHUT_WR)
    assert server.ask("GET", "/livez").status == 200


def _next(answers: object) -> tuple[int, bytes]:
    lines = []
    while (line := answers.readline()) not in {b"\r\n", b""}:  # type: ignore[attr-defined]
        lines.append(line.decode().lower())
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    return int(lines[0].split()[1]), answers.read(length)  # type: ignore[attr-defined]
