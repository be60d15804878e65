"""Keys under a running server: what they open, and that no secret stays anywhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from serving import Server, StartServer, multipart
from support import Run, posix, wait_until

pytestmark = posix

FORM = "multipart/form-data; boundary=boundary"


def made(flowers: Run, *words: str | Path) -> str:
    done = flowers("keys", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def opens(server: Server, key: str) -> bool:
    return server.ask("GET", "/v1/model", headers={"X-API-Key": key}).status == 200


def rows_of(trace: Path) -> list[dict[str, Any]]:
    lines = [line for file in trace.rglob("*.jsonl") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_keys_come_and_go_while_it_runs_and_no_secret_stays(
    flowers: Run, start_server: StartServer, tmp_path: Path, sample: Path
) -> None:
    place, trace, keep = tmp_path / "keys.json", tmp_path / "trace", tmp_path / "keep"
    first = made(flowers, "add", "first", "--keys", place)
    server = start_server(
        *("--auth", "keys", "--keys", place, "--trace", trace, "--keep", keep, "--rate", "50"),
        *("--spool", tmp_path / "spool.sqlite", "--cors", "https://app.example"),
    )
    photo = sample.read_bytes()
    assert server.classify(photo, x_api_key=first).status == 200

    second = made(flowers, "add", "second", "--keys", place)
    wait_until(lambda: opens(server, second))
    third = made(flowers, "rotate", "first", "--grace", "0", "--keys", place)
    wait_until(lambda: opens(server, third) and not opens(server, first))
    made(flowers, "revoke", "second", "--keys", place)
    wait_until(lambda: not opens(server, second))

    # Where keys have no business, and clients put them.
    asked = {"x_api_key": third}
    named = server.classify(photo, x_request_id=third, user_agent=f"app/1 {third}", **asked)
    assert named.status == 200
    assert named.headers["x-request-id"] == third[:13] + "..."
    assert server.classify(photo, idempotency_key=third, **asked).status == 400
    for query in (f"{third}=1", f"key={third}", f"lang={third}", f"top_k={third}"):
        assert server.classify(photo, query, **asked).status == 400
    for path in (f"/{third}", f"/v1/labels?lang={third}"):
        assert server.ask("GET", path, headers={"Authorization": f"bearer {third}"}).status >= 400
    form = multipart([(f"{third}.jpg", photo)])
    assert server.classify(form, content_type=FORM, **asked).status == 200
    assert server.classify(photo, authorization=f"Basic {third}").status == 401
    assert server.classify(photo, authorization=f"Bearer {third}", referer=third).status == 200
    # What a browser asks first is no request of anybody's.
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert server.ask("OPTIONS", "/v1/classify", headers=preflight).status == 200

    time.sleep(0.1)  # for the log
    arguments = Path(f"/proc/{server.process.pid}/cmdline").read_text()
    environment = Path(f"/proc/{server.process.pid}/environ").read_text()
    metrics = server.ask("GET", "/metrics", headers={"X-API-Key": third})
    assert metrics.status == 403
    assert server.stop() == 0
    rows = rows_of(trace)
    assert {row["method"] for row in rows} == {"POST"}
    assert {row["key_id"] for row in rows} == {first[4:12], third[4:12], None}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert keep in files[0].parents or any(keep in file.parents for file in files)
    kept = b"\n".join(file.read_bytes() for file in files)
    everything = (server.stderr + server.stdout + arguments + environment).encode() + kept
    for key in (first, second, third):
        assert key[4:12].encode() in everything  # its id is shown
        assert key[13:30].encode() not in everything
