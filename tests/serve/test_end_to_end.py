"""From a photo to what is trained on: a server, then every command of ``flowers trace``."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
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
    return [
        json.loads(line) for name in names for line in (store.download(name) or b"").splitlines()
    ]


@pytest.mark.parametrize(
    ("places", "durability"),
    [(each, each) for each in ("strict", "spool", "best-effort")],
    indirect=["places"],
)
def test_from_a_photo_to_what_is_trained_on(
    places: tuple[str, str],
    durability: str,
    flowers: Run,
    classifier: Classifier,
    tmp_path: Path,
) -> None:
    keep, trace = places
    red, blue, green, odd = photo_of("red"), photo_of("blue"), photo_of("green"), film()
    keys = tmp_path / "keys.json"
    secret = flowers("keys", "add", "ada", "--keys", keys).stdout.decode().split()[-1]
    options = ["--keep", keep, "--trace", trace, "--durability", durability, "--keys", keys]
    options += ["--log_format", "text", "--max_body", "100000", "--rate", "30"]
    if durability == "spool":
        options += ["--spool", tmp_path / "spool.sqlite"]
    with serving(*options) as server:
        ask, key = Asked(server), {"x_api_key": secret}
        first = ask(200, red, **key, x_request_id="mine", idempotency_key="k")
        replay = ask(200, red, **key, idempotency_key="k")
        ask(422, blue, **key, idempotency_key="k")
        form = ask(200, multipart([("a", red), ("b", blue), ("c", blue)]), **key, **FORM)
        ask(200, green, **key)
        strange = ask(200, odd, **key)
        ask(400, red, "top_k=0", **key)
        ask(401, red)
        ask.note(server.ask("DELETE", "/v1/classify"), 405)
        ask(413, bytes(100_001), **key)
        ask(415, b"text", **key)
        broken = ask(422, b"\xff\xd8\xff broken", **key)
        with server.connect() as connection:  # half a body: nobody is left to hear of 408
            connection.sendall(request(bytes(5000), **key)[:-1000])
        wait_until(lambda: " 408" in server.stderr)
        assert server.stop() == 0

    # The trace: each request, once.
    rows = rows_in(trace)
    by_id = {row["request_id"]: row for row in rows}
    (cut,) = by_id.keys() - ask.statuses.keys()
    assert by_id[cut]["status"] == 408
    assert {id: by_id[id]["status"] for id in ask.statuses} == ask.statuses
    assert Counter(row["request_id"] for row in rows) == {id: 1 + 2 * (id == form) for id in by_id}
    for row in rows:
        assert (row["error"] is None) == (row["status"] == 200)
        assert (row["key_id"] is None) == (row["status"] in {401, 405})
        assert (row["label"] is not None) == (row["status"] == 200 and row["replay_of"] is None)
    assert by_id[first]["client_request_id"] == "mine"
    assert by_id[replay]["replay_of"] == first
    assert by_id[replay]["sha256"] is None
    assert (by_id[broken]["sha256"], by_id[broken]["photo"]) == (
        digest(b"\xff\xd8\xff broken"),
        None,
    )
    assert by_id[strange]["media_type"] == "image/avif"
    assert by_id[strange]["photo"] is None

    # What is kept: each photo, once, and nothing but the picture.
    kept = {name for name in store_for(keep).names(f"{keep}/") if not name.endswith("/.flowers")}
    assert len(kept) == 3
    for sent in (red, blue, green):
        row = next(row for row in rows if row["sha256"] == digest(sent))
        assert row["photo"] == f"{keep}/{digest(sent)}.jpg"
        data = store_for(keep).download(row["photo"]) or b""
        assert row["kept_sha256"] == digest(data)
        assert b"Ada" not in data
        assert not Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)
        assert classifier.classify(data).confidence == row["confidence"]

    # Tables: the same rows.
    suffixes = {"strict": ("sqlite", "parquet"), "spool": ("sqlite", "jsonl")}
    for suffix in suffixes.get(durability, ("sqlite",)):
        done = flowers("trace", "load", trace, "--to", f"rows.{suffix}")
        assert done.returncode == 0, done.stderr
        assert list(sink_for(str(tmp_path / f"rows.{suffix}"), REQUESTS).existing()) == rows
    if durability == "strict":
        with BigQueryFake() as service:
            to = f"bigquery://{TABLE}"
            assert flowers("trace", "load", trace, "--to", to, env=service.env).returncode == 0
            assert service.rows(TABLE) == [REQUESTS.table_row(row) for row in rows]
            words = ("forget", first, "--trace", trace, "--keep", keep, "--to", to)
            done = flowers("trace", *words, env=service.env)
            assert b"2 rows of bigquery" in done.stdout, (done.stdout, done.stderr)
            assert first not in str(service.rows(TABLE))

    # Forgotten: a request and its repeat, then a photo.
    if durability != "strict":
        done = flowers("trace", "forget", first, "--trace", trace, "--keep", keep)
    assert done.returncode == 0, done.stderr
    assert b"stays, 1 row of other requests have it" in done.stdout
    done = flowers("trace", "forget", digest(red), "--trace", trace, "--to", "rows.sqlite")
    assert done.returncode == 0, done.stderr
    left = rows_in(trace)
    assert not any(
        word in str(left) + str(list(store_for(trace).names(f"{trace}/")))
        for word in (first, digest(red))
    )
    assert store_for(keep).names(f"{keep}/{digest(red)}") == []
    with contextlib.closing(sqlite3.connect(tmp_path / "rows.sqlite")) as connection:
        sent = connection.execute("SELECT count(*) FROM requests WHERE sha256 = ?", [digest(red)])
        assert sent.fetchone() == (0,)

    # The rest is exported, and a list says of what.
    done = flowers("trace", "export", keep, trace, "--out", "dataset")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "dataset" / "review.csv").open(newline="") as file:
        listed = [row["file"] for row in csv.DictReader(file)]
    assert {Path(name).stem for name in listed} == {digest(blue), digest(green)}
    assert all((tmp_path / "dataset" / name).is_file() for name in listed)
