"""What one GET of a photo costs each client of object storage.

    PYTHONPATH=tests python tests/bench/storage.py [--gets 2000] [--threads 16] [--rounds 3]
        [--size 20000]

Needs google-cloud-storage and obstore beside the extras [dev]. Each measurement is a process of
its own; clients take turns. Milliseconds of CPU are those of the client's process, all its
threads together, after 100 GETs that are not counted; the rate is bounded by the fake server,
which shares the CPUs. `start` is the CPU of the imports and of the first GET, `MB` the peak
memory. obstore has no line for GCS: it asks for 0%2Ejpg, which the fake doesn't find.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import fire

from flowers_onnx.storage.item import Item

Get = Callable[[str], bytes]

BUCKET = "photos"


def store(scheme: str) -> Get:
    from flowers_onnx.storage import store_for

    reader = store_for(f"{scheme}://")
    return lambda name: reader.read(Item(f"{scheme}://{BUCKET}/{name}"), 64 << 20)[0]


def google_cloud_storage() -> Get:
    import requests
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client("project", AnonymousCredentials())
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=64)
    client._http.mount("http://", adapter)
    bucket = client.bucket(BUCKET)
    return lambda name: bucket.blob(name).download_as_bytes()


def authorized_session() -> Get:
    import requests
    from google.auth.credentials import AnonymousCredentials
    from google.auth.transport.requests import AuthorizedSession

    session = AuthorizedSession(AnonymousCredentials())
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/{BUCKET}/o/"
    return lambda name: session.get(f"{url}{name}?alt=media").content


def obstore_s3() -> Get:
    import obstore

    reader = obstore.store.S3Store(BUCKET, client_options={"allow_http": True})
    return lambda name: bytes(obstore.get(reader, name).bytes())


def boto3_client() -> Get:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=64))
    return lambda name: client.get_object(Bucket=BUCKET, Key=name)["Body"].read()


CLIENTS: dict[str, dict[str, Callable[[], Get]]] = {
    "gcs": {
        "flowers_onnx (google-auth, urllib3)": lambda: store("gs"),
        "google-cloud-storage": google_cloud_storage,
        "google-auth AuthorizedSession": authorized_session,
    },
    "s3": {
        "flowers_onnx (boto3 signs, urllib3)": lambda: store("s3"),
        "boto3": boto3_client,
        "obstore": obstore_s3,
    },
}


def main(gets: int = 2000, threads: int = 16, rounds: int = 3, size: int = 20_000) -> None:
    """Print a table in Markdown."""
    from fakes.gcs import fake_gcs
    from fakes.s3 import fake_s3

    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    with ExitStack() as stack:
        fakes = {"gcs": stack.enter_context(fake_gcs()), "s3": stack.enter_context(fake_s3())}
        for fake in fakes.values():
            fake.create(BUCKET)
            for number in range(100):
                fake.put(BUCKET, f"{number}.jpg", os.urandom(size))
        for _ in range(rounds):
            for kind, clients in CLIENTS.items():
                for client in clients:
                    job = json.dumps([kind, client, gets, threads, size])
                    done = subprocess.run(
                        [sys.executable, __file__, "--job", job],
                        env={**os.environ, **fakes[kind].env},
                        stdout=subprocess.PIPE,
                        check=True,
                    )
                    rows.setdefault((kind, client), []).append(json.loads(done.stdout))
    print("| | client | CPU ms a GET | GET/s | start, CPU ms | MB |\n|---|---|---|---|---|---|")
    for (kind, client), found in rows.items():
        figures = {key: statistics.median(row[key] for row in found) for key in found[0]}
        print(
            f"| {kind} | {client} | {figures['cpu']:.2f} | {figures['rate']:.0f} "
            f"| {figures['start']:.0f} | {figures['megabytes']:.0f} |"
        )


def measure(kind: str, client: str, gets: int, threads: int, size: int) -> dict[str, float]:
    """The figures of one client, in this process."""
    before = _cpu_seconds()
    get = CLIENTS[kind][client]()
    assert len(get("0.jpg")) == size
    start = _cpu_seconds() - before
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(get, [f"{number}.jpg" for number in range(100)]):
            pass
        used, started = _cpu_seconds(), time.perf_counter()
        for content in pool.map(get, [f"{number % 100}.jpg" for number in range(gets)]):
            assert len(content) == size
        used, seconds = _cpu_seconds() - used, time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cpu": used / gets * 1e3,
        "rate": gets / seconds,
        "start": start * 1e3,
        "megabytes": peak,
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        fire.Fire(main)
