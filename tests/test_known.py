"""Whether a photo shows one of the model's classes: the same answer at every door."""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import brightness, constant_model, constant_score
from PIL import Image
from serving import serving
from support import FLOWERS, PATIENCE, SAMPLE, Run, posix

from flowers_onnx import (
    Candidate,
    Classifier,
    ImageError,
    ModelError,
    Prediction,
    Query,
    UsageError,
)
from flowers_onnx.metadata import Rejection, SetRule
from flowers_onnx.results import result_of

#: Of the first three classes, and of all others.
SURE = [0.5, 0.3, 0.1, *[0.1 / 99] * 99]
ROW = (1, 102)
RULES = {
    "rejection": json.dumps({"threshold": 100, "method": "brightness"}),
    "prediction_set": json.dumps({"coverage": 0.99, "threshold": 0.3}),
}
NAMES = ["pink primrose", "hard-leaved pocket orchid", "canterbury bells"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Bright photos are known to it."""
    return constant_model(tmp_path / "m.onnx", SURE, ROW, brightness(), **RULES)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """``a.png`` is bright, ``b.png`` dark."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (80, 60), (255, 200, 190)).save(folder / "a.png")
    Image.new("RGB", (80, 60), (9, 9, 20)).save(folder / "b.png")
    return folder


def knowledge(record: Mapping[str, Any]) -> tuple[bool | None, list[str]]:
    assert (record["schema"], record["label"]) == ("1.1", NAMES[0])
    assert [each["label"] for each in record["top"]][:3] == NAMES
    return record["known"], [each["label"] for each in record["prediction_set"]]


def test_the_score_decides_and_the_set_has_who_is_likely(model: Path, photos: Path) -> None:
    classifier = Classifier(model, threads=1)
    assert classifier.info.rejection == Rejection(100, "brightness")
    assert classifier.info.prediction_set == SetRule(0.99, 0.3)
    bright, dark = classifier.classify_many([photos / "a.png", photos / "b.png"], top_k=1)
    assert isinstance(bright, Prediction)
    assert isinstance(dark, Prediction)
    assert (bright.known, dark.known) == (True, False)
    # 0.3 as the network has it, in float32, is a little more.
    assert [each.label for each in bright.prediction_set] == NAMES[:2]
    assert bright.prediction_set[0] == bright.top[0] == dark.top[0]
    assert dark.prediction_set == ()
    assert classifier.classify(photos / "a.png", lang="la").prediction_set[0].label == (
        "Oenothera speciosa"
    )
    for result in (bright, dark, pickle.loads(pickle.dumps(bright))):
        assert result_of(json.loads(json.dumps(result.to_record()))) == result


@pytest.mark.parametrize(
    ("least", "known"),
    [(0, True), (0.5, True), (0.501, False), (1, False), (np.float32(0.5), True)],
)
@pytest.mark.parametrize("photo", ["a.png", "b.png"])
def test_a_confidence_takes_the_rules_place(
    model: Path, photos: Path, least: float, known: bool, photo: str
) -> None:
    found = Classifier(model, threads=1).result(photos / photo, Query(3, "en", least))
    assert json.loads(json.dumps(found.to_record()))["known"] is known
    assert isinstance(found, Prediction)
    assert bool(found.prediction_set) is known


def test_a_model_without_rules_cannot_tell(tmp_path: Path, photos: Path) -> None:
    """Nor does an output without a rule, or the rule of a set alone, say anything."""
    score = constant_score([math.nan], (1,))
    for number, (graph, rules) in enumerate(
        [(b"", {}), (score, {}), (b"", {"prediction_set": RULES["prediction_set"]})]
    ):
        path = constant_model(tmp_path / f"{number}.onnx", SURE, ROW, graph, **rules)
        classifier = Classifier(path, threads=1)
        found = classifier.classify(photos / "b.png")
        assert (found.known, found.prediction_set) == (None, ())
        sure = classifier.classify(photos / "b.png", min_confidence=0.2)
        assert sure.known is True
        assert len(sure.prediction_set) == (2 if rules else 0)


def test_a_set_is_never_empty_and_a_score_at_the_threshold_is_known(
    tmp_path: Path, photos: Path
) -> None:
    rules = {
        "rejection": '{"threshold": 0.25, "method": "m", "more": [1]}',
        "prediction_set": '{"coverage": 1, "threshold": 1}',
    }
    score = constant_score([0.25], (1,))
    path = constant_model(tmp_path / "m.onnx", SURE, ROW, score, **rules)
    found = Classifier(path, threads=1).classify(photos / "b.png")
    assert (found.known, found.prediction_set) == (True, found.top[:1])


@pytest.mark.parametrize("least", [-0.1, 1.1, math.nan, math.inf, True, "0.5", [0.5], b"1"])
def test_what_is_no_confidence_is_refused(classifier: Classifier, least: Any) -> None:
    for ask in (
        lambda: Query(min_confidence=least),
        lambda: classifier.classify(SAMPLE, min_confidence=least),
        lambda: classifier.classify_many([SAMPLE], min_confidence=least),
    ):
        with pytest.raises(UsageError, match="min_confidence must be from 0 to 1"):
            ask()


@pytest.mark.parametrize(
    "change",
    [
        {"rejection": "{"},
        {"rejection": "null"},
        {"rejection": "[]"},
        {"rejection": "{}"},
        {"rejection": '{"threshold": 0.5}'},
        {"rejection": '{"method": "m"}'},
        {"rejection": '{"threshold": 0.5, "method": 3}'},
        {"rejection": '{"threshold": "0.5", "method": "m"}'},
        {"rejection": '{"threshold": true, "method": "m"}'},
        {"rejection": '{"threshold": NaN, "method": "m"}'},
        {"rejection": '{"threshold": 1e999, "method": "m"}'},
        {"rejection": '{"threshold": 1' + "0" * 400 + ', "method": "m"}'},
        {"prediction_set": "0.99"},
        {"prediction_set": '{"coverage": 0.99}'},
        {"prediction_set": '{"threshold": 0.5}'},
        {"prediction_set": '{"coverage": 99, "threshold": 0.5}'},
        {"prediction_set": '{"coverage": 0.99, "threshold": -0.5}'},
        {"prediction_set": '{"coverage": 0.99, "threshold": null}'},
    ],
)
def test_a_broken_rule_is_an_error_of_the_model(tmp_path: Path, change: dict[str, str]) -> None:
    path = constant_model(tmp_path / "m.onnx", SURE, ROW, brightness(), **(RULES | change))
    with pytest.raises(ModelError, match=r"the metadata of .*m\.onnx is broken"):
        Classifier(path)


def test_a_rule_needs_its_output(flowers: Run, tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", SURE, ROW, **RULES)
    with pytest.raises(ModelError, match="needs the output 'known_score'"):
        Classifier(path)
    done = flowers("classify", SAMPLE, "--model", path)
    assert (done.returncode, done.stdout) == (3, b"")


@pytest.mark.parametrize(
    ("values", "shape"),
    [([math.nan], (1,)), ([math.inf], (1,)), ([0.5, 0.5], (2,)), ([0.5], (1, 1))],
)
def test_a_score_that_is_none_is_no_answer(
    tmp_path: Path, values: list[float], shape: tuple[int, ...]
) -> None:
    score = constant_score(values, shape)
    classifier = Classifier(
        constant_model(tmp_path / "m.onnx", SURE, ROW, score, **RULES), threads=1
    )
    with pytest.raises(ImageError, match="the model's output is no answer") as caught:
        classifier.classify(SAMPLE)
    assert caught.value.code == "internal_error"
    with pytest.raises(ModelError, match="is no answer"):
        classifier.warm_up()


NOT_ONE = "not one of the 102 species (closest: pink primrose, 50 %)"


def test_text_says_so(flowers: Run, model: Path, photos: Path) -> None:
    known = "pink primrose (Oenothera speciosa)  50.0 %"
    done = flowers("classify", "photos", "--model", model)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [f"photos/a.png  {known}", f"photos/b.png  {NOT_ONE}"]
    assert done.stdout.decode().splitlines() == lines
    done = flowers("classify", "photos", "--model", model, "--top_k", "2", "--lang", "la")
    latin = NOT_ONE.replace(NAMES[0], "Oenothera speciosa")
    other = "    Paphiopedilum micranthum  30.0 %"
    assert done.stdout.decode().splitlines() == [
        "photos/a.png  Oenothera speciosa  50.0 %", other, f"photos/b.png  {latin}", other,
    ]  # fmt: skip
    done = flowers("classify", "photos/b.png", "--model", model, "--min_confidence", "0.5")
    assert done.stdout.decode() == f"photos/b.png  {known}\n"
    done = flowers("classify", photos / "a.png", "--min_confidence", "1")  # any model
    assert done.returncode == 0
    assert b"a.png  not one of the 102 species (closest: " in done.stdout


@pytest.mark.parametrize("format", ["json", "jsonl", "csv"])
def test_each_form_says_so(flowers: Run, model: Path, photos: Path, format: str) -> None:
    done = flowers("classify", "photos", "none.jpg", "--model", model, "--format", format)
    assert done.returncode == 1
    text = done.stdout.decode()
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["known"] for row in rows] == ["true", "false", ""]
        sets = [json.loads(row["prediction_set"]) for row in rows]
    else:
        rows = json.loads(text) if format == "json" else [*map(json.loads, text.splitlines())]
        assert [row["known"] for row in rows] == [True, False, None]
        sets = [row["prediction_set"] for row in rows]
    assert [[each["label"] for each in names] for names in sets] == [NAMES[:2], [], []]


@pytest.mark.parametrize("least", ["", "x", "nan", "-0.1", "1.01", "60", "0,6"])
@pytest.mark.parametrize("command", ["classify", "stream", "batch", "serve", "beam"])
def test_the_flag_is_checked(flowers: Run, command: str, least: str) -> None:
    words = {
        "classify": ["a.jpg"],
        "batch": ["a", "--out", "r.csv"],
        "beam": ["a", "--out", "r.jsonl"],
    }
    done = flowers(command, *words.get(command, []), f"--min_confidence={least}")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--min_confidence needs a number from 0 to 1, such as 0.6, not " in done.stderr


def test_batch_says_so(flowers: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for out, flags, expected in (
        ("r.jsonl", (), [(True, NAMES[:2]), (False, [])]),
        ("s.jsonl", ("--min_confidence", "0.6"), [(False, []), (False, [])]),
    ):
        assert flowers("batch", photos, "--out", out, "--model", model, *flags).returncode == 0
        rows = map(json.loads, sorted((tmp_path / out).read_text().splitlines()))
        assert [*map(knowledge, rows)] == expected


WRONG: tuple[Any, ...] = ("0.5", True, -1, 1.5, [])


@posix
def test_a_stream_says_so_and_a_request_may_ask_otherwise(model: Path, photos: Path) -> None:
    dark = {"path": str(photos / "b.png")}
    asked: list[tuple[dict[str, Any], bool | None]] = [
        ({}, True),  # by the flag
        ({"min_confidence": 0.51}, False),
        ({"min_confidence": 1}, False),
        ({"min_confidence": None}, False),  # by the model
        ({"min_confidence": None, "path": str(photos / "a.png")}, True),
        *(({"min_confidence": wrong}, None) for wrong in WRONG),
    ]
    lines = "".join(json.dumps({**dark, **fields}) + "\n" for fields, _ in asked)
    done = subprocess.run(
        [FLOWERS, "stream", "--model", model, "--min_confidence", "0.5"],
        input=lines.encode(), capture_output=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert [answer["known"] for answer in answers] == [known for _, known in asked]
    for answer in answers[-5:]:
        assert answer["error"]["code"] == "bad_request"
        assert answer["error"]["message"].startswith("min_confidence must be a number")


@posix
def test_a_server_says_so_and_a_request_may_ask_otherwise(model: Path, photos: Path) -> None:
    bright, dark = ((photos / name).read_bytes() for name in ("a.png", "b.png"))
    with serving("--model", str(model)) as server:
        assert knowledge(server.classify(bright).json) == (True, NAMES[:2])
        assert knowledge(server.classify(dark).json) == (False, [])
        assert knowledge(server.classify(dark, "min_confidence=0.5").json)[0] is True
        assert knowledge(server.classify(bright, "min_confidence=6e-1").json)[0] is False
        for wrong in ("", "x", "nan", "-0.1", "1.5", "1e999", "0_1", "+0", "%D9%A1"):
            reply = server.classify(dark, f"min_confidence={wrong}")
            assert (reply.status, reply.json["code"]) == (400, "bad_request")
            assert "min_confidence must be" in reply.json["detail"]
        # The same key for another question is another request.
        key = {"idempotency_key": "k"}
        assert server.classify(dark, **key).json["known"] is False
        assert server.classify(dark, "min_confidence=0.5", **key).status == 422
        facts = server.ask("GET", "/v1/model").json["model"]
        assert facts["rejection"] == {"threshold": 100, "method": "brightness"}
        assert facts["prediction_set"] == {"coverage": 0.99, "threshold": 0.3}
        document = server.ask("GET", "/openapi.json").json
        fields = document["components"]["schemas"]["Record"]["properties"]
        assert fields["known"]["type"] == ["boolean", "null"]
        assert fields["prediction_set"]["type"] == "array"
        named = [each["name"] for each in document["paths"]["/v1/classify"]["post"]["parameters"]]
        assert "min_confidence" in named
    with serving("--model", str(model), "--min_confidence", "0.6") as server:
        assert knowledge(server.classify(bright).json)[0] is False


def test_info_shows_the_rules(flowers: Run, model: Path) -> None:
    text = flowers("info", "--model", model).stdout.decode()
    assert "  rejection:\n    threshold: 100.0\n    method: brightness\n" in text
    assert "  prediction_set:\n    coverage: 0.99\n    threshold: 0.3\n" in text
    plain = constant_model(model.with_name("plain.onnx"), SURE, ROW)
    assert "  rejection: none\n  prediction_set: none\n" in (
        flowers("info", "--model", plain).stdout.decode()
    )


def test_a_record_of_1_0_is_read() -> None:
    one = Prediction((Candidate("rosa", 1, 0.5),), None, "a", None, 1, 1, "m")
    record: dict[str, Any] = {**one.to_record(), "schema": "1.0"}
    del record["known"], record["prediction_set"]
    assert result_of(record) == one
    for wrong in ({"known": "yes"}, {"known": 1}, {"prediction_set": [{"label": "rosa"}]}):
        with pytest.raises((TypeError, LookupError, ValueError)):
            result_of(record | wrong)
