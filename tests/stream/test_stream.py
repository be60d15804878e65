"""``flowers stream`` as other programs see it: a child process behind two pipes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import FLOWERS, PATIENCE, SAMPLE, Run, wait_until

from flowers_onnx.results import Query
from flowers_onnx.stream.framing import MAX_LINE, Frame
from flowers_onnx.stream.requests import BadRequest, json_request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and pipes")

UNANSWERED = b"requests were left without an answer\n"


class Child:
    """A running ``flowers stream`` that has said it is ready."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [FLOWERS, "stream", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.ready = self.receive()

    def send(self, *requests: Any) -> None:
        for request in requests:
            self.stdin.write(json.dumps(request).encode() + b"\n")
        self.stdin.flush()

    def receive(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.stdout.readline())
        return record

    def finish(self) -> list[dict[str, Any]]:
        """Close standard input; the remaining answers of a child that ends as it should."""
        self.stdin.close()
        answers = [json.loads(line) for line in self.stdout]
        assert self.process.wait(PATIENCE) == 0
        assert self.errors() == b""
        return answers

    def errors(self) -> bytes:
        assert self.process.stderr
        return self.process.stderr.read()

    def resident_megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def stream(*flags: str) -> Iterator[Child]:
    child = Child(*flags)
    try:
        yield child
    finally:
        child.process.kill()
        child.process.wait()
        for pipe in (child.stdin, child.stdout, child.process.stderr):
            with contextlib.suppress(BrokenPipeError):  # of what is still buffered
                assert pipe
                pipe.close()


def raw(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def test_says_that_it_is_ready(flowers: Run) -> None:
    with stream("--workers", "3") as child:
        ready = child.ready
        assert ready["ready"] is True
        assert ready["pid"] == child.process.pid
        assert (ready["protocol"], ready["schema"], ready["labels"]) == (1, "1.1", 102)
        assert (ready["framing"], ready["workers"]) == ("jsonl", 3)
        version = flowers("--version").stdout.decode().strip()
        assert version == f"flowers {ready['program']} (model {ready['model']})"
        assert child.finish() == []


def test_answers_are_the_result_record_with_the_id_in_front(flowers: Run) -> None:
    plain = json.loads(flowers("classify", SAMPLE, "--format", "jsonl").stdout)
    with stream() as child:
        child.send({"id": {"any": [1, None, "ü"]}, "path": str(SAMPLE)})
        answer = child.receive()  # before anything else is sent: nothing is held back
        assert list(answer)[:2] == ["id", "ms"]
        assert answer.pop("id") == {"any": [1, None, "ü"]}
        assert 0 < answer.pop("ms") < 60_000
        assert answer == plain


def test_order_options_and_bytes() -> None:
    encoded = base64.b64encode(SAMPLE.read_bytes()).decode()
    with stream("--top_k", "2", "--lang", "la") as child:
        child.send(
            *({"id": number, "path": str(SAMPLE)} for number in range(20)),
            {"id": "b", "bytes": encoded, "top_k": 1, "lang": "es"},
            {"path": "missing.jpg"},
        )
        *numbered, from_bytes, missing = child.finish()
        assert [answer["id"] for answer in numbered] == list(range(20))
        assert {answer["label"] for answer in numbered} == {"Dahlia spp."}
        assert {len(answer["top"]) for answer in numbered} == {2}
        assert (from_bytes["label"], len(from_bytes["top"])) == ("dalia", 1)
        assert from_bytes["path"] is None
        assert from_bytes["sha256"] == numbered[0]["sha256"]
        assert (missing["id"], missing["path"]) == (None, "missing.jpg")
        assert missing["error"]["code"] == "not_found"


BAD_LINES = {
    b"": "not JSON",
    b"{": "not JSON",
    b'{"id": NaN}': "not JSON",
    b'{"id": 1e999, "path": "x"}': "not JSON",
    b"\xff\xfe": "not JSON",
    b"[" * 100_000: "nested too deeply",
    b'["path"]': "a request is a JSON object",
    b'{"path": "x", "pth": 1}': "unknown field 'pth'",
    b"{}": "either path or bytes",
    b'{"path": "x", "bytes": ""}': "either path or bytes",
    b'{"path": 1}': "either path or bytes",
    b'{"bytes": "*"}': "bytes must be base64",
    b'{"path": "x", "top_k": 0}': "top_k must be",
    b'{"path": "x", "top_k": true}': "top_k must be",
    b'{"path": "x", "lang": "de"}': "lang must be",
    b'{"path": "x", "lang": ["en"]}': "lang must be",
}


def test_a_thousand_bad_lines_are_answered_one_for_one() -> None:
    lines = (list(BAD_LINES) * 1000)[:1000]
    good = json.dumps({"id": "last", "path": str(SAMPLE)}).encode()
    done = subprocess.run(
        [FLOWERS, "stream"], input=b"\n".join([*lines, good]), capture_output=True, check=True
    )
    _, *answers, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 1000
    for line, answer in zip(lines, answers, strict=True):
        assert answer["error"]["code"] == "bad_request"
        assert BAD_LINES[line] in answer["error"]["message"]
    assert (last["id"], last["status"]) == ("last", "ok")
    assert done.stderr == b""


def test_a_bad_request_keeps_its_id() -> None:
    with stream() as child:
        child.send({"id": 7, "path": "x", "unknown": 1}, {"id": 8, "bytes": "*"})
        assert [answer["id"] for answer in child.finish()] == [7, 8]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
fields = st.sampled_from(["id", "path", "bytes", "top_k", "lang", "other"])


@given(st.dictionaries(fields, json_values) | json_values | st.binary())
def test_any_line_is_a_request_or_a_bad_request(value: Any) -> None:
    line = value if isinstance(value, bytes) else json.dumps(value).encode()
    with contextlib.suppress(BadRequest):
        json_request(Frame(1, line), Query(5, "en"))


def test_paths_that_would_block_or_steal_our_input(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with stream() as child:
        child.send(*({"path": str(path)} for path in (pipe, tmp_path, "/dev/stdin", "a\0b")))
        child.send({"path": str(SAMPLE)})
        *refused, answer = child.finish()
        codes = [record["error"]["code"] for record in refused]
        assert codes == ["not_a_file", "not_a_file", "not_a_file", "not_found"]
        assert answer["status"] == "ok"


def test_a_line_beyond_all_bounds_is_refused_and_skipped() -> None:
    with stream() as child:
        for _ in range(MAX_LINE // (1 << 20) + 2):
            child.stdin.write(b"x" * (1 << 20))
        child.stdin.write(b"\n")
        child.send({"id": 2, "path": str(SAMPLE)})
        refused, answer = child.finish()
        assert refused["error"]["code"] == "too_large"
        assert (answer["id"], answer["status"]) == (2, "ok")


def test_raw_framing() -> None:
    photo = SAMPLE.read_bytes()
    with stream("--framing", "raw", "--top_k", "1") as child:
        child.stdin.write(raw(photo) + raw(b"no image") + raw(b"") + raw(photo))
        answers = child.finish()
        assert [answer["id"] for answer in answers] == [1, 2, 3, 4]
        assert [answer["label"] for answer in answers[::3]] == ["pink-yellow dahlia"] * 2
        codes = [answer["error"]["code"] for answer in answers[1:3]]
        assert codes == ["not_an_image", "is_empty"]


def test_a_raw_frame_of_two_gigabytes_is_answered_before_it_arrives() -> None:
    with stream("--framing", "raw") as child:
        child.stdin.write((2**31).to_bytes(4, "big"))
        child.stdin.flush()
        assert child.receive()["error"]["code"] == "too_large"


def test_a_raw_frame_that_is_too_long_is_skipped() -> None:
    photo = SAMPLE.read_bytes()
    with stream("--framing", "raw") as child:
        child.stdin.write(raw(b"x" * (81 << 20)) + raw(photo) + raw(photo)[:99])
        too_large, answer, cut_off = child.finish()
        assert too_large["error"]["code"] == "too_large"
        assert (answer["id"], answer["status"]) == (2, "ok")
        assert cut_off["error"]["code"] == "bad_request"


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_sigterm_finishes_what_was_accepted_and_says_what_was_not(number: str) -> None:
    with stream("--threads", "1") as child:
        child.send(*({"id": number, "path": str(SAMPLE)} for number in range(50)))
        assert child.receive()["id"] == 0
        child.process.send_signal(getattr(signal, number))
        answers = [json.loads(line) for line in child.stdout]
        assert [answer["id"] for answer in answers] == list(range(1, len(answers) + 1))
        assert len(answers) < 49
        assert child.process.wait(PATIENCE) == 143
        assert child.errors() == b"flowers: terminated; " + UNANSWERED


def test_sigterm_when_all_is_answered() -> None:
    with stream("--threads", "1") as child:
        child.send(*({"id": number} for number in range(50)))
        assert [child.receive()["id"] for _ in range(50)] == list(range(50))
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE) == 0
        assert child.errors() == b""


@pytest.mark.parametrize("flags", [(), ("--framing", "raw")])
def test_sigterm_before_anything_was_accepted(flags: tuple[str, ...]) -> None:
    line = json.dumps({"path": str(SAMPLE)}).encode() + b"\n"
    with stream(*flags) as child:
        # Stopped, it finds both at the same time.
        child.process.send_signal(signal.SIGSTOP)
        child.stdin.write((raw(b"no photo") if flags else line) * 20)
        child.stdin.flush()
        child.process.send_signal(signal.SIGTERM)
        child.process.send_signal(signal.SIGCONT)
        answers = list(child.stdout)
        assert child.process.wait(PATIENCE) == (0 if len(answers) == 20 else 143)
        said = b"" if len(answers) == 20 else b"flowers: terminated; " + UNANSWERED
        assert child.errors() == said


def test_sigterm_ends_an_idle_stream() -> None:
    with stream() as child:
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE) == 0


def test_ctrl_c_is_told_apart() -> None:
    with stream() as child:
        child.process.send_signal(signal.SIGINT)
        assert child.process.wait(PATIENCE) == 130
        assert child.errors() == b"flowers: interrupted\n"


def test_leaves_when_the_reader_does() -> None:
    with stream() as child:
        child.stdout.close()  # idle, and standard input stays open
        assert child.process.wait(PATIENCE) == 0
        assert child.errors() == b""


@pytest.mark.parametrize("input_ends", [True, False])
def test_says_what_it_owed_when_the_reader_leaves(input_ends: bool) -> None:
    with stream("--threads", "1") as child:
        child.send(*({"id": number, "path": str(SAMPLE)} for number in range(50)))
        assert child.receive()["id"] == 0
        if input_ends:
            child.stdin.close()
        child.stdout.close()
        assert child.process.wait(PATIENCE) == 4
        assert child.errors() == b"flowers: the reader of the answers has left; " + UNANSWERED


@pytest.mark.parametrize(("requests", "code"), [(b"", 0), (b"{}\n", 4)])
def test_a_reader_that_was_never_there(tmp_path: Path, requests: bytes, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (tmp_path / "requests").write_bytes(requests)
    with open(tmp_path / "requests", "rb") as stdin:
        done = subprocess.run(
            [FLOWERS, "stream"], stdin=stdin, stdout=writing, stderr=subprocess.PIPE, check=False
        )
    os.close(writing)
    assert (done.returncode, done.stderr.count(b"\n")) == (code, 1 if code else 0)


def test_the_other_end_of_a_socket_closes_its_half() -> None:
    ours, theirs = socket.socketpair()
    end = theirs.fileno()
    with ours, subprocess.Popen([FLOWERS, "stream"], stdin=end, stdout=end) as child:
        theirs.close()
        ours.sendall(json.dumps({"path": str(SAMPLE)}).encode() + b"\n{}")
        ours.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answers:
            assert len(list(answers)) == 3
        assert child.wait(PATIENCE) == 0


def test_leaves_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = f"""
import subprocess, time
child = subprocess.Popen([{str(FLOWERS)!r}, "stream"], stdin=-1, stdout=-1)
child.stdout.readline()
print("ready", flush=True)
time.sleep(600)
"""
    # Whoever holds the write end of a pipe that nobody writes to; the read end tells of their end.
    reading, writing = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    assert parent.stdout
    assert parent.stdout.readline() == b"ready\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert select.select([reading], [], [], PATIENCE)[0], "the child is still there"
    assert os.read(reading, 1000) == b""
    os.close(reading)


def test_goes_on_without_its_parent_while_there_are_requests(tmp_path: Path) -> None:
    answers, go = tmp_path / "answers", tmp_path / "go"
    os.mkfifo(go)
    request = json.dumps({"path": str(SAMPLE)})
    script = f"""
request='{request}'
{{ for i in 1 2 3 4 5; do echo "$request"; done; cat {go}; echo "$request"; echo "$request"; }} |
    nohup {FLOWERS} stream > {answers} 2> {answers}.errors &
until [ -s {answers} ]; do sleep 0.05; done
"""
    subprocess.run(["sh", "-c", script], check=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    wait_until(lambda: answers.read_bytes().count(b"\n") == 6)
    time.sleep(1)  # what it once took to leave
    go.write_text("")
    wait_until(lambda: answers.read_bytes().count(b"\n") == 8)
    assert (tmp_path / "answers.errors").read_bytes() in (b"", b"nohup: ignoring input\n")


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_memory_stays_flat_when_nobody_reads() -> None:
    count = 1000
    with stream("--framing", "raw") as child:
        before = child.resident_megabytes()
        frame = raw(SAMPLE.read_bytes() + b"\0" * 200_000)
        os.set_blocking(child.stdin.fileno(), False)
        left = memoryview(frame * count)
        stuck_since = time.monotonic()
        while time.monotonic() - stuck_since < 1:
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(child.stdin.fileno(), left) :]
                stuck_since = time.monotonic()
            time.sleep(0.001)
        assert left  # it has stopped taking requests
        assert child.resident_megabytes() - before < 25


def test_usage_and_model_errors(flowers: Run, tmp_path: Path) -> None:
    assert flowers("stream", "photo.jpg").returncode == 2
    assert flowers("stream", "--framing", "xml").returncode == 2
    missing = flowers("stream", "--model", "missing.onnx")
    assert (missing.returncode, missing.stdout) == (3, b"")
    with open(tmp_path / "write-only", "wb") as file:
        done = subprocess.run([FLOWERS, "stream"], stdin=file, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"flowers: can't read standard input")


def test_full_disk_is_an_output_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [FLOWERS, "stream"], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == b"flowers: can't write to standard output: No space left on device\n"
