"""``flowers batch`` between buckets and tables, through servers that speak their protocols."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes.bigquery import BigQueryFake
from fakes.faults import Faults, unreliable
from fakes.gcs import FakeGcs, fake_gcs
from fakes.s3 import FakeS3, fake_s3
from fakes.server import Fake
from support import FLOWERS, Run, noise_pictures, posix

TABLE = "project.dataset.results"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures, one of them broken."""
    folder = tmp_path_factory.mktemp("pictures")
    noise_pictures(folder, 29, seed=3)
    return folder


def fill(server: Fake, pictures: Path) -> None:
    for bucket in ("photos", "results"):
        server.create(bucket)
    server.load("photos", pictures, "2026/a b/")


@pytest.fixture(scope="module")
def gcs(pictures: Path) -> Iterator[FakeGcs]:
    with fake_gcs() as server:
        fill(server, pictures)
        yield server


@pytest.fixture(scope="module")
def s3(pictures: Path) -> Iterator[FakeS3]:
    with fake_s3() as server:
        fill(server, pictures)
        yield server


@pytest.fixture
def bigquery() -> Iterator[BigQueryFake]:
    with BigQueryFake() as server:
        yield server


def names(pictures: Path, server: Fake) -> Counter[str]:
    return Counter(f"{server.scheme}://photos/2026/a b/{path.name}" for path in pictures.iterdir())


def uris(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["source_uri"] for row in rows)


def records(place: str, env: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of a result in a bucket, by way of the program's own reading of it."""
    program = (
        "import json, sys; from flowers_onnx.tables import sink_for;"
        "from flowers_onnx.tables.rows import RESULTS;"
        "print(json.dumps(list(sink_for(sys.argv[1], RESULTS).existing())))"
    )
    python = FLOWERS.with_name("python")
    done = subprocess.run(
        [python, "-c", program, place], capture_output=True, check=True, env={**os.environ, **env}
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize("kind", ["gcs", "s3"])
@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_from_bucket_to_bucket(
    flowers: Run, pictures: Path, request: pytest.FixtureRequest, kind: str, suffix: str
) -> None:
    server: Fake = request.getfixturevalue(kind)
    scheme = server.scheme
    result = f"{scheme}://results/{scheme}.{suffix}"
    env = dict(server.env)
    command = ("batch", f"{scheme}://photos/2026", "--out", result)
    done = flowers(*command, env=env)
    assert done.returncode == 1, done.stderr
    rows = records(result, env)
    assert uris(rows) == names(pictures, server)
    assert Counter(row["status"] for row in rows) == {"ok": 29, "error": 1}
    for row in rows:
        assert row["source_version"]
        assert row["size"] == os.stat(pictures / row["path"].rpartition("/")[2]).st_size
    again = flowers(*command, env=env)
    assert again.returncode == 0
    assert b"nothing to do: 30 images were done before" in again.stderr


def test_from_bucket_to_table(
    flowers: Run, pictures: Path, gcs: FakeGcs, bigquery: BigQueryFake, tmp_path: Path
) -> None:
    env = {**gcs.env, **bigquery.env}
    command = ("batch", "gs://photos/", "--out", f"bigquery://{TABLE}")
    assert flowers(*command, env=env).returncode == 1
    assert uris(bigquery.rows(TABLE)) == names(pictures, gcs)
    assert os.listdir(tmp_path) == [f"{TABLE}.run.json"]
    assert flowers(*command, env=env).returncode == 0
    gcs.put("photos", "new.png", (pictures / "00.png").read_bytes())
    try:
        assert flowers(*command, env=env).returncode == 0
    finally:
        gcs.delete("photos", "new.png")
    assert uris(bigquery.rows(TABLE)) == names(pictures, gcs) + Counter(["gs://photos/new.png"])


def test_four_shards_over_a_bad_network(
    pictures: Path, gcs: FakeGcs, bigquery: BigQueryFake, tmp_path: Path
) -> None:
    gcs.create("many")
    for copy in range(8):
        gcs.load("many", pictures, f"{copy}/")
    faults = Faults(rate=0.05, kinds=("unavailable", "too_many", "refused", "cut", "altered"))
    faults.vanishing.add(gone := "3/07.png")
    with unreliable(gcs, faults) as server:

        def run(shard: int) -> subprocess.CompletedProcess[bytes]:
            words = ["batch", "gs://many/", "--out", f"bigquery://{TABLE}"]
            return subprocess.run(
                [FLOWERS, *words, "--shard", f"{shard}/4"],
                cwd=tmp_path,
                env={**os.environ, **server.env, **bigquery.env},
                capture_output=True,
                check=False,
            )

        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(run, range(4)))
    assert {process.returncode for process in done} <= {0, 1}, [d.stderr for d in done]
    assert faults.injected.total() >= 10
    rows = bigquery.rows(TABLE)
    expected = Counter(
        f"gs://many/{copy}/{path.name}" for copy in range(8) for path in pictures.iterdir()
    )
    assert uris(rows) == expected
    failed = {row["source_uri"]: row["error"]["code"] for row in rows if row["error"]}
    assert failed == {
        f"gs://many/{gone}": "not_found",
        **{f"gs://many/{copy}/broken.jpg": "corrupt" for copy in range(8)},
    }


@posix
@pytest.mark.parametrize("journal", ["", "gs://results/kills.journal"])
def test_killed_twenty_times_and_every_row_is_there_once(
    pictures: Path, gcs: FakeGcs, bigquery: BigQueryFake, tmp_path: Path, journal: str
) -> None:
    command = [str(FLOWERS), "batch", "--from", "list.csv", "--out", f"bigquery://{TABLE}"]
    if journal:
        command += ["--journal", journal]
    env = {**os.environ, **gcs.env, **bigquery.env}
    chance = random.Random(journal)
    kills = count = 0
    code: int | None = 0
    while kills < 20 or code:
        if not code:  # all is done: find something new to do
            count += 60
            lines = [f'{n},"{pictures / f"{n % 29:02}.png"}"\n' for n in range(count)]
            (tmp_path / "list.csv").write_text("id,path\n" + "".join(lines))
        with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE) as process:
            try:
                process.wait(chance.uniform(0.5, 1.5) if kills < 20 else 60)
            except subprocess.TimeoutExpired:
                process.kill()
        code = process.returncode
        assert code in {0, -signal.SIGKILL}
        kills += code != 0
    found = Counter(row["source_id"] for row in bigquery.rows(TABLE))
    assert found == Counter(map(str, range(count)))
