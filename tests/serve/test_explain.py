"""``POST /v1/explain``: why a photo has its name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from models import constant_model
from serving import Reply, Server, StartServer, multipart, serving
from support import Run, posix, wait_until

from flowers_onnx import Classifier
from flowers_onnx.onnx_file import find_model

EXPLAIN = "/v1/explain"

pytestmark = posix


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--max_body", "200000", "--max_pixels", "1000000") as running:
        yield running


def explain(server: Server, body: bytes, query: str = "", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"{EXPLAIN}?{query}" if query else EXPLAIN
    return server.ask("POST", path, body, {"content-type": "image/jpeg", **named})


def problem(reply: Reply, status: int, code: str) -> str:
    assert (reply.status, reply.json["status"], reply.json["code"]) == (status, status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["request_id"] == reply.headers["request-id"]
    detail: str = reply.json["detail"]
    return detail


def test_it_is_the_record_of_classify_and_the_map_behind_it(
    server: Server, classifier: Classifier, sample: Path
) -> None:
    photo = sample.read_bytes()
    for query in ("", "lang=es&top_k=2", "min_confidence=1"):
        reply = explain(server, photo, query)
        assert reply.status == 200
        answer, plain = reply.json, server.classify(photo, query).json
        assert answer.pop("request_id") == reply.headers["request-id"] != plain.pop("request_id")
        explanation = answer.pop("explanation")
        assert answer == plain
        assert {name: explanation[name] for name in ("label", "class_id", "confidence")} == (
            plain["top"][0]
        )
    expected = classifier.explain(photo).to_record()["explanation"]
    assert explanation == expected
    logit = np.mean(explanation["cells"]) + explanation["bias"]
    assert logit == pytest.approx(classifier.explain(photo).heat.logit, abs=1e-3)


@pytest.mark.parametrize("label", ["rose", "Rosa", "74", "ROSE"])
def test_another_name_may_be_asked_for(server: Server, sample: Path, label: str) -> None:
    explanation = explain(server, sample.read_bytes(), f"lang=es&label={label}").json["explanation"]
    assert (explanation["label"], explanation["class_id"]) == ("rosa", 74)
    assert explanation["confidence"] < 0.5


def test_a_name_that_no_flower_has_gets_near_ones(server: Server, sample: Path) -> None:
    photo = sample.read_bytes()
    detail = problem(explain(server, photo, "label=sunflowr"), 400, "bad_request")
    assert "sunflower" in detail
    for odd in ("", "x" * 101, "%00", "%F0%9F%8C%BB", "a%0Ab"):
        detail = problem(explain(server, photo, f"label={odd}"), 400, "bad_request")
        assert len(detail) < 400
        assert "\n" not in detail


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ((b"", "", {}), 400, "is_empty"),
        ((b"text", "", {}), 415, "not_an_image"),
        ((b"\xff\xd8\xff broken", "", {}), 422, "corrupt"),
        ((bytes(200_001), "", {}), 413, "too_large"),
        ((b"text", "", {"content_type": "text/plain"}), 415, "unsupported_media_type"),
        ((b"x", "top_k=0", {}), 400, "bad_request"),
        ((b"x", "lang=xx", {}), 400, "bad_request"),
        ((b"x", "lable=rose", {}), 400, "bad_request"),
        ((b"x", "label=rose&label=daisy", {}), 400, "bad_request"),
        ((b"x", "", {"sec_fetch_site": "cross-site"}), 403, "forbidden"),
    ],
)
def test_refusals_are_those_of_classify(
    server: Server, sent: tuple[bytes, str, dict[str, str]], status: int, code: str
) -> None:
    body, query, headers = sent
    problem(explain(server, body, query, **headers), status, code)


def test_one_photo_at_a_time_and_by_post(server: Server, sample: Path) -> None:
    form = multipart([("a.jpg", sample.read_bytes())])
    kind = "multipart/form-data; boundary=boundary"
    detail = problem(explain(server, form, content_type=kind), 415, "unsupported_media_type")
    assert "/v1/classify" in detail
    reply = server.ask("GET", EXPLAIN)
    problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"
    problem(server.ask("POST", f"{EXPLAIN}/", b"x"), 404, "not_found")


def test_what_is_answered_is_what_the_description_says(server: Server, sample: Path) -> None:
    document = server.ask("GET", "/openapi.json").json
    operation = document["paths"][EXPLAIN]["post"]
    assert {"label", "lang", "top_k", "min_confidence"} == {
        parameter["name"] for parameter in operation["parameters"]
    }
    whole = {"$ref": "#/components/schemas/Explained", **document}
    answer = explain(server, sample.read_bytes()).json
    jsonschema.validate(answer, whole, jsonschema.Draft202012Validator)


def test_many_at_once_have_the_same_answer(sample: Path) -> None:
    photo = sample.read_bytes()
    # None has been asked before: the network is loaded while others wait.
    with serving("--slots", "2", "--queue", "8") as server, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: explain(server, photo), range(8)))
        assert {reply.status for reply in replies} == {200}
        answers = [{**reply.json, "request_id": ""} for reply in replies]
        assert all(answer == answers[0] for answer in answers)
        figures = server.ask("GET", "/metrics").body.decode()
    assert 'flowers_requests_total{route="/v1/explain",status="200"} 8.0' in figures
    assert 'route="/v1/classify"' not in figures
    assert "flowers_photos_total{" not in figures


def test_keys_are_those_of_classify(
    start_server: StartServer, flowers: Run, sample: Path, tmp_path: Path
) -> None:
    def make(name: str, *words: str) -> str:
        return flowers("keys", "add", name, "--keys", "k.json", *words).stdout.decode().strip()

    key, other = make("page"), make("prometheus", "--scopes", "metrics")
    server = start_server("--auth", "keys", "--keys", tmp_path / "k.json")
    photo = sample.read_bytes()
    problem(explain(server, photo), 401, "unauthorized")
    problem(explain(server, photo, authorization=f"Bearer {other}"), 403, "forbidden")
    assert explain(server, photo, authorization=f"Bearer {key}").status == 200


def test_nothing_of_it_is_kept(start_server: StartServer, sample: Path, tmp_path: Path) -> None:
    kept, rows = tmp_path / "kept", tmp_path / "rows"
    server = start_server("--keep", kept, "--trace", rows)
    photo = sample.read_bytes()
    other = photo + b"\0"  # the same picture in another file
    answer = server.classify(photo).json
    assert explain(server, photo, idempotency_key="again").status == 200
    assert explain(server, other).status == 200
    problem(explain(server, b"text"), 415, "not_an_image")
    assert explain(server, other, idempotency_key="again").status == 200  # nothing to repeat
    assert server.stop() == 0
    assert [path.stem for path in kept.rglob("*.jpg")] == [answer["sha256"]]
    lines = [
        json.loads(line) for path in rows.rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert [(line["request_id"], line["route"]) for line in lines] == [
        (answer["request_id"], "/v1/classify")
    ]
    logged = [line for line in server.stderr.splitlines() if EXPLAIN in line]
    assert len(logged) == 4


def test_a_model_without_a_map(start_server: StartServer, sample: Path, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "constant.onnx", [1 / 102] * 102, [1, 102])
    server = start_server("--model", model)
    detail = problem(explain(server, sample.read_bytes()), 501, "not_explainable")
    assert str(tmp_path) not in detail
    assert server.classify(sample.read_bytes()).status == 200
    assert server.ask("GET", "/v1/model").json["explainable"] is False
    page = server.ask("GET", "/").body.decode()
    assert "&quot;scale&quot;: null" in page


def test_it_tells_that_it_can(server: Server) -> None:
    assert server.ask("GET", "/v1/model").json["explainable"] is True
    assert "&quot;scale&quot;: [[" in server.ask("GET", "/").body.decode()


def test_another_model_in_its_place_is_never_mixed_with_it(
    start_server: StartServer, sample: Path, tmp_path: Path
) -> None:
    model, aside, photo = tmp_path / "model.onnx", tmp_path / "aside", sample.read_bytes()
    content = Path(find_model()).read_bytes()
    model.write_bytes(content)
    times = (model.stat().st_atime_ns, model.stat().st_mtime_ns)
    server = start_server("--model", model)
    model.rename(aside)

    def refused() -> None:
        detail = problem(explain(server, photo), 501, "not_explainable")
        assert "is gone, or another than the one that was loaded" in detail
        assert str(tmp_path) not in detail
        assert server.classify(photo).json["model"].startswith("flowers-lite0")
        assert server.ask("GET", "/v1/model").json["explainable"] is True

    refused()
    assert "&quot;scale&quot;: [[" in server.ask("GET", "/").body.decode()  # for later
    wait_until(lambda: "can't read the model" in server.stderr)
    middle = len(content) // 2
    weights = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for other in (
        content.replace(b"flowers-lite0", b"flowers-lite1"),
        weights,  # and the same metadata
        content + b"\x08\x0a",
        b"",
    ):
        new = tmp_path / "new"
        new.write_bytes(other)
        os.utime(new, ns=times)
        new.rename(model)
        refused()
    wait_until(lambda: "has changed since it was loaded" in server.stderr)
    aside.rename(model)
    assert explain(server, photo).status == 200


def test_nor_is_one_that_was_written_over_it(
    start_server: StartServer, sample: Path, tmp_path: Path
) -> None:
    model, content = tmp_path / "model.onnx", bytearray(Path(find_model()).read_bytes())
    model.write_bytes(content)
    server = start_server("--model", model)
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    problem(explain(server, sample.read_bytes()), 501, "not_explainable")
