"""Amazon S3: moto's server, in its own process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from urllib.parse import quote

from fakes.server import Fake, free_port, running


class FakeS3(Fake):
    @property
    def headers(self) -> dict[str, str]:
        """Signed, though not well: moto refuses anonymous clients and checks no signature."""
        scope = "id/20260101/us-east-1/s3/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=,Signature="}

    def create(self, bucket: str) -> None:
        self.request("PUT", f"/{bucket}")

    def path(self, bucket: str, name: str) -> str:
        return f"/{bucket}/{quote(name, safe='')}"

    def put(self, bucket: str, name: str, content: bytes) -> None:
        self.request("PUT", self.path(bucket, name), content)


@contextlib.contextmanager
def fake_s3() -> Iterator[FakeS3]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with running(command, port, env):
        yield FakeS3("s3", url, env)
