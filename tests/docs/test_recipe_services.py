"""docs/recipes.md with the services that it names: an MQTT broker, Node-RED, AWS Lambda."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus

import pytest
import yaml
from fakes.faults import Faults, unreliable
from fakes.server import Fake, free_port, running
from pages import DOCS, read, section
from support import FLOWERS, PATIENCE, ROOT, SAMPLE, blocks, needs, posix, wait_until

import flowers_onnx

RECIPES = DOCS / "recipes"
PAGE = read(DOCS / "recipes.md")
MQTT = section(PAGE, "MQTT and Home Assistant")
LAMBDA = RECIPES / "lambda_function.py"
Record = dict[str, Any]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A broker, as the environment in which the page's commands find it."""
    port = free_port()
    settings = tmp_path / ".config"
    settings.mkdir()
    for client in ("mosquitto_pub", "mosquitto_sub"):
        (settings / client).write_text(f"-h 127.0.0.1\n-p {port}\n")
    path = f"{FLOWERS.parent}:{os.environ['PATH']}"
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(settings), "PATH": path}
    with running(["mosquitto", "-p", str(port)], port, {}):
        yield env


@contextlib.contextmanager
def typed(line: str, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A line of programs that go on until the block ends."""
    process = subprocess.Popen(
        ["bash", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
        assert process.poll() is None, "it goes on"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def last_message(topic: str, env: Mapping[str, str]) -> Record | None:
    """What the broker keeps of a topic."""
    command = ["mosquitto_sub", "-C", "1", "-W", "1", "-t", topic]
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    return json.loads(done.stdout) if done.stdout else None


def sensor() -> dict[str, str]:
    (configuration,) = blocks(MQTT, "yaml")
    (found,) = yaml.safe_load(configuration)["mqtt"]["sensor"]
    return dict(found)


def shown(template: str, record: Record) -> str:
    """As Home Assistant shows a message."""
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    text: str = environment.from_string(template).render(value_json=record)
    return text.strip()


@posix
@needs("jq")
@needs("inotifywait")
@needs("mosquitto")
@needs("mosquitto_pub")
def test_a_photo_becomes_a_message_and_a_sensor(tmp_path: Path, broker: dict[str, str]) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    line, _ = blocks(MQTT, "bash")
    fields = sensor()
    topic = fields["state_topic"]
    assert f"-t {topic}\n" in line
    assert fields["json_attributes_topic"] == topic
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with typed(line, tmp_path, broker):
        for photo, state in (
            (SAMPLE, "pink-yellow dahlia"),
            (tmp_path / "empty.jpg", "unreadable"),
        ):
            name = f"camera/a {photo.stem}.jpg"
            seen: list[Record] = []

            def arrived(photo: Path = photo, name: str = name, seen: list[Record] = seen) -> bool:
                shutil.copy(photo, tmp_path / "new")
                (tmp_path / "new").rename(tmp_path / name)
                message = last_message(topic, broker)
                if message and message["path"] == name:
                    seen.append(message)
                return bool(seen)

            wait_until(arrived)
            assert shown(fields["value_template"], seen[0]) == state
            attributes = json.loads(shown(fields["json_attributes_template"], seen[0]))
            assert attributes["photo"] == name
            assert set(attributes) == {"photo", "confidence", "scientific_name"}
    unknown = {"status": "ok", "known": False, "label": "rose"}
    assert shown(fields["value_template"], unknown) == "none of the species"
    assert shown(fields["value_template"], {**unknown, "known": None}) == "rose"


@posix
@needs("mosquitto")
@needs("mosquitto_pub")
def test_a_message_gets_an_answer(tmp_path: Path, broker: dict[str, str]) -> None:
    _, line = blocks(MQTT, "bash")
    answers = tmp_path / "answers"
    request = {"id": "gate", "path": str(SAMPLE)}
    publish = ["mosquitto_pub", "-t", "flowers/requests", "-m", json.dumps(request)]

    def answered() -> list[Record]:
        subprocess.run(publish, env=broker, check=True)
        records = map(json.loads, answers.read_text().splitlines())
        return [record for record in records if record.get("id") == "gate"]

    listen = f"mosquitto_sub -t flowers/answers > '{answers}' & {line}"
    answers.touch()
    with typed(listen, tmp_path, broker):
        wait_until(answered)
        assert answered()[0]["label"] == "pink-yellow dahlia"


FLOW: list[dict[str, Any]] = json.loads(read(RECIPES / "node-red.json"))
NODES = {node["id"]: node for node in FLOW}
#: What Node-RED gives to the code of a function node, and a conversation with it.
HARNESS = """
const child_process = require("child_process");
const [code, FLOWERS, photo] = [JSON.parse(process.argv[2]), ...process.argv.slice(3)];
const store = {};
const context = { get: (key) => store[key], set: (key, value) => { store[key] = value; } };
const env = { get: (key) => ({ FLOWERS })[key] };
let happened = [], wake = () => {};
const tell = (event) => { happened.push(event); wake(); };
const node = {
    send: (msg) => tell(["sent", msg.topic, msg.payload.label ?? msg.payload.error.code]),
    error: (why, msg) => tell(["error", msg.topic]),
    status: (status) => tell(["status", status.fill]),
};
const run = (text, msg) => new Function(
    "node", "context", "env", "child_process", "msg", text
)(node, context, env, child_process, msg);
const until = async (count) => {
    while (happened.length < count) await new Promise((go) => { wake = go; });
    console.log(JSON.stringify(happened.splice(0)));
};
(async () => {
    run(code.initialize);
    await until(1);
    if (photo) {
        run(code.func, { topic: "path", payload: photo });
        run(code.func, { topic: "bytes", payload: require("fs").readFileSync(photo) });
        run(code.func, { topic: "none", payload: "none.jpg" });
        await until(3);
        const child = store.flowers.child;
        child.kill("SIGSTOP");
        run(code.func, { topic: "lost", payload: photo });
        child.kill("SIGKILL");
        await until(3);
        run(code.func, { topic: "again", payload: photo });
        await until(1);
    } else {
        run(code.func, { topic: "early", payload: "none.jpg" });
        await until(1);
    }
    run(code.finalize);
})();
"""


def test_the_flow_is_whole() -> None:
    assert len(NODES) == len(FLOW)
    (tab,) = (node for node in FLOW if node["type"] == "tab")
    assert [variable["name"] for variable in tab["env"]] == ["FLOWERS"]
    for node in FLOW:
        if node is not tab:
            assert node["z"] == tab["id"]
            assert {end for wires in node["wires"] for end in wires} <= set(NODES)
            assert set(node.get("scope", ())) <= set(NODES)
    which = NODES["flowers-which"]
    assert len(which["wires"]) == len(which["rules"]) == which["outputs"] == 3


@posix
@needs("node")
@pytest.mark.parametrize("there", [True, False])
def test_the_flow_asks_one_process_and_starts_it_anew(there: bool, tmp_path: Path) -> None:
    (code,) = (node for node in FLOW if node["type"] == "function")
    words = [FLOWERS, SAMPLE] if there else [tmp_path / "none"]
    done = subprocess.run(
        ["node", "-", json.dumps(code), *words],
        input=HARNESS, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    label = "pink-yellow dahlia"
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == (
        [
            [["status", "green"]],
            [["sent", "path", label], ["sent", "bytes", label], ["sent", "none", "not_found"]],
            [["status", "red"], ["error", "lost"], ["status", "green"]],
            [["sent", "again", label]],
        ]
        if there
        else [[["status", "red"]], [["error", "early"]]]
    )


def event(bucket: str, *keys: str, **more: str) -> Record:
    """As S3 sends it, in the parts that matter."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {"key": quote_plus(key, safe="/"), "sequencer": "0A", **more},
                },
            }
            for key in keys
        ]
    }


@pytest.fixture(scope="module")
def storage(s3: Fake) -> Fake:
    """With the buckets of the page."""
    for name in ("photos", "results"):
        s3.create(name)
    return s3


@pytest.fixture
def sandbox(storage: Fake, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The handler's module, as a sandbox imports it."""
    return sandbox_of(storage, monkeypatch)


def sandbox_of(storage: Fake, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, value in {
        **storage.env,
        "AWS_MAX_ATTEMPTS": "1",
        "RESULTS_BUCKET": "results",
    }.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("lambda_function", LAMBDA)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lambda_answers_and_keeps_each_photo(
    sandbox: ModuleType, storage: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["new/été 1+1 %41.jpg", "empty.jpg", "gone.jpg"]
    storage.put("photos", keys[0], SAMPLE.read_bytes())
    storage.put("photos", keys[1], b"")
    loaded = sandbox.CLASSIFIER
    records = sandbox.handler(event("photos", *keys), None)
    assert [record["path"] for record in records] == [f"s3://photos/{key}" for key in keys]
    assert [record["label"] for record in records] == ["pink-yellow dahlia", None, None]
    assert [(record["error"] or {}).get("code") for record in records] == [
        None, "is_empty", "not_found",
    ]  # fmt: skip
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kept = [
        json.loads(storage.request("GET", storage.path("results", f"{key}.json"))) for key in keys
    ]
    assert records == printed == kept
    assert sandbox.handler(event("photos", keys[0]), None) == records[:1], "a second delivery"
    assert sandbox.CLASSIFIER is loaded


def test_lambda_loads_one_model_for_all_events(
    storage: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Counted(flowers_onnx.Classifier):
        def __init__(self) -> None:
            made.append(self)
            super().__init__()

    monkeypatch.setattr(flowers_onnx, "Classifier", Counted, raising=False)
    sandbox = sandbox_of(storage, monkeypatch)
    storage.put("photos", "a.jpg", SAMPLE.read_bytes())
    for _ in range(3):
        sandbox.handler(event("photos", "a.jpg"), None)
    assert len(made) == 1


def test_lambda_reads_the_version_of_the_event(sandbox: ModuleType) -> None:
    sandbox.S3.create_bucket(Bucket="versions")
    sandbox.S3.put_bucket_versioning(
        Bucket="versions", VersioningConfiguration={"Status": "Enabled"}
    )
    first = sandbox.S3.put_object(Bucket="versions", Key="a.jpg", Body=SAMPLE.read_bytes())
    sandbox.S3.put_object(Bucket="versions", Key="a.jpg", Body=b"another")
    version = first["VersionId"]
    (record,) = sandbox.handler(event("versions", "a.jpg", versionId=version), None)
    assert record["label"] == "pink-yellow dahlia"
    sandbox.S3.delete_object(Bucket="versions", Key="a.jpg", VersionId=version)
    (record,) = sandbox.handler(event("versions", "a.jpg", versionId=version), None)
    assert record["error"]["code"] == "not_found"


def test_lambda_raises_what_may_pass_or_needs_a_person(
    storage: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put("photos", "b.jpg", SAMPLE.read_bytes())
    faults = Faults(rate=1, kinds=("cut",))
    with unreliable(storage, faults) as bad:
        sandbox = sandbox_of(bad, monkeypatch)
        with pytest.raises(Exception, match="bytes expected"):
            sandbox.handler(event("photos", "b.jpg"), None)
        faults.rate = 0
        (record,) = sandbox.handler(event("photos", "b.jpg"), None)
        assert record["label"] == "pink-yellow dahlia"
        with pytest.raises(sandbox.S3.exceptions.NoSuchBucket):
            sandbox.handler(event("no-such-bucket", "b.jpg"), None)
        with pytest.raises(ValueError, match="events again"):
            sandbox.handler(event("results", "b.jpg.json"), None)


def test_the_image_of_lambda_has_what_it_runs() -> None:
    lines = read(RECIPES / "lambda.Dockerfile").splitlines()
    (command,) = (json.loads(line[4:]) for line in lines if line.startswith("CMD "))
    assert command == ["lambda_function.handler"]
    assert f"COPY {LAMBDA.name} ${{LAMBDA_TASK_ROOT}}/" in lines
    assert f"--handler {command[0]} " in section(PAGE, "AWS Lambda")
    copied = re.findall(r"cp (docs/\S+) package/", section(PAGE, "AWS Lambda"))
    assert [ROOT / path for path in copied] == [LAMBDA]
