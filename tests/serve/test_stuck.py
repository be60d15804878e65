"""Photos that keep a slot for too long, faults, and the end of a server that has some in work."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import time
from collections.abc import Iterator

from serving import Server, read_reply, request, serving
from support import PATIENCE, posix, wait_until

pytestmark = posix

#: A server whose decoder sleeps in, or breaks at, some photos, and that has less patience.
_CODE = """
import sys, time
from flowers_onnx.classifier import Classifier
from flowers_onnx.cli.main import main
from flowers_onnx.serve import asking, run
result = Classifier.result
def result_or_not(self, data, query):
    if data.startswith(b"sleep "):
        time.sleep(float(data.split()[1]))
    if data == b"fault":
        raise RuntimeError("a decoder's fault")
    return result(self, data, query)
Classifier.result = result_or_not
asking.ANSWER_SECONDS, run._ANSWER_SECONDS = float(sys.argv[1]), float(sys.argv[2])
sys.exit(main(["serve", *sys.argv[3:]]))
"""


@contextlib.contextmanager
def frail(*flags: str, answer: float = 8, end: float = 7) -> Iterator[Server]:
    words = [sys.executable, "-c", _CODE, str(answer), str(end), "--port", "{port}", *flags]
    with serving(command=words) as server:
        yield server


def figure(server: Server, name: str) -> float:
    found = re.search(
        rf"^flowers_{name} (\S+)$", server.ask("GET", "/metrics").body.decode(), re.MULTILINE
    )
    assert found
    return float(found[1])


def test_a_stuck_slot_is_told_gathers_nothing_and_may_recover() -> None:
    stuck = b"sleep 5 " + bytes(1000)
    with frail("--slots", "1", "--queue", "1", answer=0.5) as server:
        room = figure(server, "body_bytes_free")
        for _ in range(2):  # the first has the slot, the second waits for it
            reply = server.classify(stuck)
            assert (reply.status, reply.json["code"]) == (503, "timeout")
        # Nobody waits for them any more, and still they are there.
        reply = server.classify(stuck)
        assert (reply.status, reply.json["code"]) == (429, "too_many_requests")
        assert figure(server, "body_bytes_free") == room - 2 * len(stuck)
        wait_until(lambda: server.ask("GET", "/readyz").status == 503)
        assert "too long" in server.ask("GET", "/readyz").json["detail"]
        assert server.ask("GET", "/livez").status == 200
        wait_until(lambda: server.ask("GET", "/readyz").status == 200)
        assert server.classify(b"x").status == 415
        assert figure(server, "body_bytes_free") == room


def test_what_cannot_be_answered_in_time_is_told_and_the_exit_code_tells_too() -> None:
    with frail(end=1) as server, server.connect() as connection:
        connection.sendall(request(b"sleep 60"))
        wait_until(lambda: figure(server, "slots_busy") == 1)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        reply = read_reply(connection)
        assert reply
        assert (reply.status, reply.json["code"]) == (503, "stopping")
        assert server.process.wait(PATIENCE) == 4
        assert "Traceback" not in server.stderr


def test_a_client_that_leaves_gives_all_back() -> None:
    with frail("--slots", "1") as server:
        room = figure(server, "body_bytes_free")
        with server.connect() as connection:
            connection.sendall(request(b"sleep 1"))
            wait_until(lambda: figure(server, "requests_admitted") == 1)
        wait_until(lambda: figure(server, "requests_admitted") == 0)
        assert figure(server, "body_bytes_free") == room
        assert server.classify(b"x").status == 415


def test_the_log_has_the_details_of_a_fault_under_the_same_id() -> None:
    for form in ("json", "text"):
        with frail("--log_format", form) as server:
            reply = server.classify(b"fault")
            assert (reply.status, reply.json["code"]) == (500, "internal_error")
            assert "decoder" not in reply.body.decode()
            told = f"{reply.json['request_id']}.*a decoder's fault"
            wait_until(lambda: bool(re.search(told, server.stderr)))  # noqa: B023


def test_a_second_upload_on_a_connection_has_its_own_time() -> None:
    with frail() as server, server.connect() as connection:
        second = request(b"x" * 1000)
        connection.sendall(request(b"sleep 0.5") + second[:-500])
        first = read_reply(connection)  # behind it, the server waits for the rest of the second
        assert first
        assert first.status == 415
        time.sleep(3)
        connection.sendall(second[-500:])
        reply = read_reply(connection)
    assert reply
    assert reply.status == 415
