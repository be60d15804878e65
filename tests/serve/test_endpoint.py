"""``flowers serve`` as a client meets it: one real process, asked over HTTP."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serving import Reply, Server, multipart, read_reply, request, serving
from support import FLOWERS, PATIENCE, Run, posix, wait_until

from flowers_onnx import Classifier
from flowers_onnx.serve.openapi import PROBLEM_CODES

pytestmark = posix


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--max_body", "200000", "--max_files", "3", "--max_pixels", "1000000") as running:
        yield running


def problem(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.json["status"], reply.json["code"]) == (status, status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["detail"]
    assert reply.json["request_id"] == reply.headers["request-id"]


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_the_answer_is_the_record_of_the_command_line(
    server: Server, flowers: Run, sample: Path
) -> None:
    done = flowers("classify", sample, "--format", "jsonl", "--lang", "es", "--top_k", "2")
    expected = {**json.loads(done.stdout), "path": None}
    reply = server.classify(sample.read_bytes(), "top_k=2&lang=es")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json
    assert uuid.UUID(answer.pop("request_id")).version == 7
    assert answer == expected


def test_one_bad_file_of_a_form_costs_the_others_nothing(
    server: Server, classifier: Classifier, sample: Path
) -> None:
    photo = sample.read_bytes()
    body = multipart([("../../etc/a.jpg", photo), ("no.txt", b"text"), ("C:\\b\\ñ.jpg", photo)])
    reply = server.classify(body, content_type="multipart/form-data; boundary=boundary")
    assert reply.status == 200
    first, second, third = reply.json["results"]
    record = {**classifier.classify(photo).to_record()}
    assert first == record | {"path": "a.jpg"}
    assert third == record | {"path": "ñ.jpg"}
    assert (second["status"], second["error"]["code"]) == ("error", "not_an_image")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ((b"", "", {}), 400, "is_empty"),
        ((b"text", "", {}), 415, "not_an_image"),
        ((b"%PDF-1.4", "", {}), 415, "unsupported"),
        ((b"\xff\xd8\xff broken", "", {}), 422, "corrupt"),
        ((png(2000, 2000), "", {}), 422, "too_large"),
        ((bytes(200_001), "", {}), 413, "too_large"),
        ((b"text", "", {"content_type": "text/plain"}), 415, "unsupported_media_type"),
        ((b"x", "", {"content_type": "multipart/form-data"}), 400, "bad_request"),
        ((b"x", "", {"content_type": "multipart/form-data; boundary=b"}), 400, "bad_request"),
        ((b"", "top_k=0", {}), 400, "bad_request"),
        ((b"", "top_k=many", {}), 400, "bad_request"),
        ((b"", "lang=xx", {}), 400, "bad_request"),
        ((b"", "topk=3", {}), 400, "bad_request"),
        ((b"", "top_k=3&top_k=4", {}), 400, "bad_request"),
        ((b"", "", {"idempotency_key": "a b"}), 400, "bad_request"),
    ],
)
def test_every_refusal_is_a_problem_with_a_stable_code(
    server: Server, sent: tuple[bytes, str, dict[str, str]], status: int, code: str
) -> None:
    body, query, headers = sent
    problem(server.classify(body, query, **headers), status, code)


def test_a_form_of_too_many_files_or_without_one_is_refused(server: Server) -> None:
    kind = "multipart/form-data; boundary=boundary"
    many = multipart([(f"{number}.jpg", b"x") for number in range(4)])
    problem(server.classify(many, content_type=kind), 400, "too_many_files")
    none = b'--boundary\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--boundary--\r\n'
    problem(server.classify(none, content_type=kind), 400, "bad_request")
    problem(server.classify(many[:-4], content_type=kind), 400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/classify", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/labels?lang=xx", 400, "bad_request"),
    ],
)
def test_wrong_methods_and_paths(
    server: Server, method: str, path: str, status: int, code: str
) -> None:
    reply = server.ask(method, path)
    problem(reply, status, code)
    assert status != 405 or reply.headers["allow"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"", content_length="99999999"))
        head = connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_on_sending_still_gets_its_refusal(server: Server) -> None:
    reply = server.raw(request(bytes(1_000_000)))
    assert reply is not None
    problem(reply, 413, "too_large")
    chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = server.raw(head + chunk * 3)
    assert reply is not None
    problem(reply, 413, "too_large")


def test_ids_are_ours_and_the_clients_is_echoed(server: Server, sample: Path) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x_request_id": "mine/1", "traceparent": traceparent}
    first, second = (server.classify(sample.read_bytes(), **headers) for _ in range(2))
    assert first.headers["x-request-id"] == second.headers["x-request-id"] == "mine/1"
    assert first.headers["traceparent"] == traceparent
    assert first.headers["request-id"] == first.json["request_id"] < second.json["request_id"]
    odd = server.ask("GET", "/livez", headers={"X-Request-Id": "ñ" * 200, "traceparent": "odd"})
    assert not {"x-request-id", "traceparent"} & set(odd.headers)
    wait_until(lambda: second.json["request_id"] in server.stderr)
    lines = [json.loads(line) for line in server.stderr.splitlines()]
    (line,) = (one for one in lines if one.get("request_id") == first.json["request_id"])
    assert line["client_request_id"] == "mine/1"
    assert line["logging.googleapis.com/trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert (line["severity"], line["httpRequest"]["status"]) == ("INFO", 200)


def test_every_answer_is_hardened(server: Server) -> None:
    for path in ("/", "/livez", "/nowhere", "/v1/labels", "/openapi.json"):
        headers = server.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert not {"server", "access-control-allow-origin"} & set(headers)


def test_other_origins_may_ask_only_where_they_were_named(sample: Path) -> None:
    preflight = {"Access-Control-Request-Method": "POST"}
    with serving("--cors", "https://app.example") as server:
        for origin, allowed in (("https://app.example", True), ("https://other.example", False)):
            reply = server.ask("OPTIONS", "/v1/classify", headers=preflight | {"Origin": origin})
            assert ("access-control-allow-origin" in reply.headers) == allowed
            reply = server.classify(sample.read_bytes(), origin=origin)
            browser = {"origin": origin, "sec_fetch_site": "cross-site"}
            sent = server.classify(sample.read_bytes(), **browser)  # a form needs no preflight
            assert sent.status == (200 if allowed else 403)
            assert (reply.headers.get("access-control-allow-origin") == origin) == allowed


def test_labels_and_model_are_those_of_the_command_line(server: Server, flowers: Run) -> None:
    labels = flowers("labels", "--format", "json", "--lang", "la").stdout
    assert server.ask("GET", "/v1/labels?lang=la").json["labels"] == json.loads(labels)
    info = json.loads(flowers("info", "--format", "json").stdout)
    assert server.ask("GET", "/v1/model").json["model"] == info["model"]


def test_what_is_answered_is_what_the_description_says(server: Server, sample: Path) -> None:
    document = server.ask("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")

    def check(reply: Reply, schema: str) -> None:
        whole = {"$ref": f"#/components/schemas/{schema}", **document}
        jsonschema.validate(reply.json, whole, jsonschema.Draft202012Validator)

    check(server.classify(sample.read_bytes()), "Answer")
    form = multipart([("a.jpg", sample.read_bytes()), ("b.jpg", b"broken")])
    check(server.classify(form, content_type="multipart/form-data; boundary=boundary"), "Answer")
    check(server.classify(b"text"), "Problem")
    check(server.ask("GET", "/v1/labels"), "Labels")
    check(server.ask("GET", "/readyz"), "Status")
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    assert set(PROBLEM_CODES) <= set(re.findall(r"`(\w+)`", page))


def metrics(server: Server) -> str:
    return server.ask("GET", "/metrics").body.decode()


def test_metrics_count_what_happened(server: Server, sample: Path) -> None:
    def count() -> float:
        text = metrics(server)
        line = 'flowers_requests_total{route="/v1/classify",status="200"} '
        return float(text.split(line)[1].split()[0]) if line in text else 0

    before = count()
    server.classify(sample.read_bytes())
    assert count() == before + 1


def test_figures_have_their_types_and_no_others(server: Server) -> None:
    families = {family.name: family for family in text_string_to_metric_families(metrics(server))}
    assert families["flowers_log_lines_dropped"].type == "counter"
    assert families["flowers_slots"].type == "gauge"
    assert families["flowers_photo_seconds"].type == "histogram"
    assert not [name for name in families if name.endswith("_created")]
    for family in families.values():
        counts = [sample for sample in family.samples if sample.name.endswith("_total")]
        assert not counts or family.type == "counter"


def test_who_would_rather_have_http_2_is_answered_in_http_1(server: Server, sample: Path) -> None:
    # Java's client and curl --http2 ask so, with the photo behind it.
    wish = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAMAAA"}
    photo = sample.read_bytes()
    for cut in (len(photo), 1000):
        with server.connect() as connection:
            for _ in range(2):
                asked = request(photo, **wish)
                connection.sendall(asked[: len(asked) - cut])
                time.sleep(0.05)
                connection.sendall(asked[len(asked) - cut :])
                reply = read_reply(connection)
                assert reply
                assert reply.status == 200
    many = request(b"", "/livez", "GET", **wish) * 40
    server.raw(many, "GET")
    assert server.ask("GET", "/livez").status == 200
    assert "WebSocket" not in server.stderr


def test_probes_leave_no_lines(server: Server) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert server.ask("GET", path).status == 200
    assert not re.search(r"GET /(livez|readyz|metrics) 200", server.stderr)


def test_one_too_many_is_told_at_once_and_probes_never_wait(sample: Path) -> None:
    slow = io.BytesIO()
    Image.effect_noise((4000, 3000), 90).save(slow, "PNG", compress_level=1)
    with serving("--slots", "1", "--queue", "1") as server, ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(server.classify, slow.getvalue()) for _ in range(8)]
        probes = [pool.submit(server.ask, "GET", "/livez") for _ in range(4)]
        assert {probe.result().status for probe in probes} == {200}
        replies = [each.result() for each in asked]
        assert {reply.status for reply in replies} == {200, 429}
        for reply in replies:
            if reply.status == 429:
                problem(reply, 429, "too_many_requests")
                assert int(reply.headers["retry-after"]) >= 1
        assert server.classify(sample.read_bytes()).status == 200


def test_a_server_needs_to_be_told_who_may_ask_from_elsewhere(flowers: Run) -> None:
    done = flowers("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"--auth" in done.stderr


def test_a_port_that_is_taken_is_told_in_a_line(flowers: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = flowers("serve", env={"PORT": port})
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert f"127.0.0.1:{port}".encode() in done.stderr
    assert b"--port" in done.stderr


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--host", "192.0.2.1", "--auth", "none"], "--host needs an address or a name"),
        (["--host", "no.invalid", "--auth", "none"], "--host needs an address or a name"),
        (["--cors", "app.example"], "--cors needs * or origins such as https://app.example"),
        (["--cors", "https://app.example/"], "--cors needs * or origins"),
        (["--trace", "t", "--spool", "/dev/null/spool"], "--spool FILE puts the spool elsewhere"),
    ],
)
def test_what_keeps_it_from_starting_says_what_helps(
    flowers: Run, words: list[str], advice: str
) -> None:
    done = flowers("serve", "--port", "0", *words)
    assert done.returncode in {2, 4}
    assert (done.stderr.count(b"\n"), advice in done.stderr.decode()) == (1, True)


def test_nobody_needs_the_extra_for_help_or_a_wrong_flag(flowers: Run) -> None:
    assert flowers("serve", "--help").returncode == 0
    assert flowers("serve", "--prot", "1").returncode == 2
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from flowers_onnx.cli.main import main; sys.exit(main(['serve', '--port', '0']))"
    )
    done = subprocess.run(
        [FLOWERS.with_name("python"), "-c", code],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"[serve]" in done.stderr
