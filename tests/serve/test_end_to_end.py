"""From a photo to what is trained on: a server, then every command of ``flowers trace``."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.bigquery import BigQueryFake
from fakes.gcs import FakeGcs, fake_gcs
from PIL import Image
from serving import Reply, Server, multipart, request, serving
from support import Run, posix, wait_until

from flowers_onnx import Classifier, storage
from flowers_onnx.serve.trace.row import REQUESTS, TraceRow
from flowers_onnx.storage import store_for
from flowers_onnx.tables import sink_for

pytestmark = posix

TABLE = "project.dataset.requests"
FORM = {"content_type": "multipart/form-data; boundary=boundary"}


@pytest.fixture(scope="module")
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as fake:
        fake.create("bucket")
        yield fake


@pytest.fixture
def places(
    gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: Any
) -> Iterator[tuple[str, str]]:
    """KEEP and TRACE, in a bucket for ``strict``, else in folders."""
    storage._store.cache_clear()
    for name, value in gcs.env.items():
        monkeypatch.setenv(name, value)
    base = gcs.uri("bucket", "served") if request.param == "strict" else str(tmp_path / "served")
    yield f"{base}/keep", f"{base}/trace"
    storage._store.cache_clear()


def photo_of(color: str) -> bytes:
    """A JPEG that lies on its side, and says where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (42.0, 30.0, 0.0)})
    file = io.BytesIO()
    Image.new("RGB", (60, 40), color).save(file, "JPEG", exif=exif, comment=b"by Ada")
    return file.getvalue()


def film() -> bytes:
    """A picture that can't be told from what is around it."""
    file = io.BytesIO()
    images = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    images[0].save(file, "AVIF", save_all=True, append_images=images[1:])
    return file.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Asked:
    """What a server was asked, and what it said: statuses by request, in order."""

    def __init__(self, server: Server) -> None:
        self.server, self.statuses = server, dict[str, int]()

    def note(self, reply: Reply | None, status: int) -> str:
        assert reply is not None
        assert reply.status == status, reply.body
        self.statuses[reply.headers["request-id"]] = status
        return reply.headers["request-id"]

    def __call__(self, status: int, body: bytes, query: str = "", **headers: str) -> str:
        return self.note(self.server.classify(body, query, **headers), status)


def rows_in(trace: str) -> list[TraceRow]:
    store = store_for(trace)
    names = [name for name in store.names(f"{trace}/dt") if name.endswith(".jsonl")]
    objects = [store.download(name) or b"" for name in names]
    return [json.loads(line) for each in objects for line in each.splitlines()]


RED, BLUE, GREEN, ODD = photo_of("red"), photo_of("blue"), photo_of("green"), film()
BROKEN = b"\xff\xd8\xff broken"


def ask_all(ask: Asked, secret: str) -> dict[str, str]:
    """One request of each kind; some of their ids."""
    key = {"x_api_key": secret}
    ids = {
        "first": ask(200, RED, **key, x_request_id="mine", idempotency_key="k"),
        "replay": ask(200, RED, **key, idempotency_key="k"),
        "form": ask(200, multipart([("a", RED), ("b", BLUE), ("c", BLUE)]), **key, **FORM),
        "odd": ask(200, ODD, **key),
        "broken": ask(422, BROKEN, **key),
    }
    ask(200, GREEN, **key)
    ask(422, BLUE, **key, idempotency_key="k")
    ask(400, RED, "top_k=0", **key)
    ask(401, RED)
    ask.note(ask.server.ask("DELETE", "/v1/classify"), 405)
    ask(413, bytes(100_001), **key)
    ask(415, b"text", **key)
    with ask.server.connect() as connection:  # half a body: nobody is left to hear of 408
        connection.sendall(request(bytes(5000), **key)[:-1000])
    wait_until(lambda: " 408" in ask.server.stderr)
    return ids


def check_rows(rows: list[TraceRow], statuses: dict[str, int], ids: dict[str, str]) -> None:
    """Each request is there once, with a row a photo."""
    by_id = {row["request_id"]: row for row in rows}
    (cut,) = by_id.keys() - statuses.keys()
    assert by_id[cut]["status"] == 408
    assert {each: by_id[each]["status"] for each in statuses} == statuses
    counts = Counter(row["request_id"] for row in rows)
    assert counts == {each: 1 + 2 * (each == ids["form"]) for each in by_id}
    for row in rows:
        assert (row["error"] is None) == (row["status"] == 200)
        assert (row["key_id"] is None) == (row["status"] in {401, 405})
        assert (row["label"] is not None) == (row["status"] == 200 and row["replay_of"] is None)
    first, replay, odd, broken = (by_id[ids[name]] for name in ("first", "replay", "odd", "broken"))
    assert first["client_request_id"] == "mine"
    assert (replay["replay_of"], replay["sha256"]) == (ids["first"], None)
    assert (odd["media_type"], odd["photo"]) == ("image/avif", None)
    assert (broken["sha256"], broken["photo"]) == (digest(BROKEN), None)


def check_kept(keep: str, rows: list[TraceRow], classifier: Classifier) -> None:
    """Each photo is there once, with nothing but the picture, and has the same answer."""
    store = store_for(keep)
    kept = {name for name in store.names(f"{keep}/") if not name.endswith("/.flowers")}
    assert len(kept) == 3
    for sent in (RED, BLUE, GREEN):
        row = next(row for row in rows if row["sha256"] == digest(sent))
        assert row["photo"] == f"{keep}/{digest(sent)}.jpg"
        data = store.download(row["photo"]) or b""
        assert row["kept_sha256"] == digest(data)
        assert b"Ada" not in data
        assert not Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)
        found = classifier.classify(data)
        assert (found.confidence, found.class_id) == (row["confidence"], row["class_id"])


@pytest.mark.parametrize(
    ("places", "durability"),
    [(each, each) for each in ("strict", "spool", "best-effort")],
    indirect=["places"],
)
def test_from_a_photo_to_what_is_trained_on(
    places: tuple[str, str], durability: str, flowers: Run, classifier: Classifier, tmp_path: Path
) -> None:
    keep, trace = places
    keys = str(tmp_path / "keys.json")
    secret = flowers("keys", "add", "ada", "--keys", keys).stdout.decode().split()[-1]
    options = ["--keep", keep, "--trace", trace, "--durability", durability, "--keys", keys]
    options += ["--log_format", "text", "--max_body", "100000"]
    if durability == "spool":
        options += ["--spool", str(tmp_path / "spool.sqlite")]
    with serving(*options) as server:
        ask = Asked(server)
        ids = ask_all(ask, secret)
        assert server.stop() == 0
    rows, first = rows_in(trace), ids["first"]
    check_rows(rows, ask.statuses, ids)
    check_kept(keep, rows, classifier)

    def command(*words: str, **env: str) -> str:
        done = flowers("trace", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    suffixes = {"strict": ("sqlite", "parquet"), "spool": ("sqlite", "jsonl")}
    for suffix in suffixes.get(durability, ("sqlite",)):
        command("load", trace, "--to", f"rows.{suffix}")
        assert list(sink_for(str(tmp_path / f"rows.{suffix}"), REQUESTS).existing()) == rows

    # A request and its repeat are forgotten, then a photo.
    forget = ("forget", first, "--trace", trace, "--keep", keep)
    if durability == "strict":
        with BigQueryFake() as service:
            to = f"bigquery://{TABLE}"
            command("load", trace, "--to", to, **service.env)
            assert service.rows(TABLE) == [REQUESTS.table_row(row) for row in rows]
            said = command(*forget, "--to", to, **service.env)
            assert f"2 rows of {to}: deleted" in said
            assert first not in str(service.rows(TABLE))
    else:
        said = command(*forget)
    assert "stays, 1 row of other requests have it" in said
    command("forget", digest(RED), "--trace", trace, "--to", "rows.sqlite")
    left = str(rows_in(trace))
    assert first not in left
    assert digest(RED) not in left
    assert digest(RED) not in str(
        list(sink_for(str(tmp_path / "rows.sqlite"), REQUESTS).existing())
    )
    assert not store_for(keep).names(f"{keep}/{digest(RED)}")
    assert not store_for(trace).names(f"{trace}/idempotency/")

    # The rest is exported, and a list says of what.
    command("export", keep, trace, "--out", "dataset")
    with (tmp_path / "dataset" / "review.csv").open(newline="") as file:
        listed = [row["file"] for row in csv.DictReader(file)]
    assert {Path(name).stem for name in listed} == {digest(BLUE), digest(GREEN)}
    assert all((tmp_path / "dataset" / name).is_file() for name in listed)


def test_rows_say_what_the_client_was_told(tmp_path: Path) -> None:
    """While nothing can be kept: no answer, but a refusal all the same."""
    trace = tmp_path / "trace"
    days = [datetime.now(UTC).date() + timedelta(days=n) for n in (0, 1)]
    expected = []
    with BigQueryFake() as service:
        options = ["--trace", str(trace), "--durability", "strict", "--log_format", "text"]
        options += ["--fresh", f"bigquery://{TABLE}"]
        with serving(*options, env=service.env) as server:
            for body, status in ((RED, 503), (b"text", 415), (RED, 200)):
                if status != 200:
                    (trace / "aside").mkdir()
                    for folder in (trace / f"dt={day}" for day in days):
                        if folder.exists():
                            folder.rename(trace / "aside" / folder.name)
                        folder.write_bytes(b"in the way")
                reply = server.classify(body)
                assert reply.status == status
                expected.append((reply.headers["request-id"], status))
                if status != 200:
                    for folder in (trace / f"dt={day}" for day in days):
                        folder.unlink()
                    for folder in (trace / "aside").iterdir():
                        folder.rename(trace / folder.name)
                    (trace / "aside").rmdir()
                wait_until(lambda: len(rows_in(str(trace))) == len(expected))
                wait_until(lambda: server.ask("GET", "/readyz").status == 200)
            assert server.stop() == 0
        for rows in (rows_in(str(trace)), service.rows(TABLE)):
            assert sorted((row["request_id"], row["status"]) for row in rows) == sorted(expected)


def test_a_row_says_where_its_photo_is_wherever_it_is_read(
    flowers: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving("--keep", "keep", "--trace", "trace/", "--durability", "best-effort") as server:
        assert server.classify(RED).status == 200
        assert server.stop() == 0
    (row,) = rows_in("trace")
    assert row["photo"] == str(tmp_path / "keep" / f"{digest(RED)}.jpg")
    (tmp_path / "elsewhere").mkdir()
    words = ("forget", row["request_id"], "--trace", tmp_path / "trace")
    assert flowers("trace", *words, cwd=tmp_path / "elsewhere").returncode == 0
    assert not list((tmp_path / "keep").glob("*.jpg"))
