"""Google Cloud Storage: ``gs://bucket/name``, by its JSON API over urllib3 and google-auth.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from flowers_onnx.batch.item import Item
from flowers_onnx.batch.storage.buckets import BucketStore
from flowers_onnx.batch.storage.failures import first_line, refuse_larger, reported
from flowers_onnx.batch.storage.names import split
from flowers_onnx.errors import ImageError, OutputError, UsageError
from flowers_onnx.extras import missing

try:
    import google.auth
    import urllib3
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.urllib3 import AuthorizedHttp, Request

    from flowers_onnx.batch.storage.http import connections, send
except ImportError as error:
    raise missing("gcs", "gs://") from error

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
#: Bytes of a large object that one request brings.
PART = 16 << 20


class GcsStore(BucketStore):
    """A ``Store`` of Google Cloud Storage; ``Item.version`` is the generation.

    The endpoint and the credentials (of google-auth) are, unless given, those of the
    variables that Google's clients read: ``STORAGE_EMULATOR_HOST`` (which asks for no
    credentials), ``API_ENDPOINT_OVERRIDE``, ``GOOGLE_APPLICATION_CREDENTIALS``; else the
    service's own and the application's default ones. Raises ``UsageError`` if there are no
    credentials or they don't work.
    """

    def __init__(self, endpoint: str | None = None, credentials: Any = None) -> None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        default = os.environ.get("API_ENDPOINT_OVERRIDE", "https://storage.googleapis.com")
        self._endpoint = (endpoint or _with_scheme(emulator) or default).rstrip("/")
        self._http: Any = connections()
        if emulator and credentials is None:
            return
        try:
            if credentials is None:
                credentials, _ = google.auth.default(scopes=[SCOPE])
            if not credentials.valid:
                credentials.refresh(Request(self._http))
        except GoogleAuthError as error:
            raise UsageError(f"no access to gs://: {first_line(error)}") from error
        self._http = AuthorizedHttp(credentials, self._http)

    def read(self, item: Item, max_bytes: int) -> tuple[bytes, Item]:
        refuse_larger(item.size, max_bytes)
        response, data = self._send("GET", self._url(item.uri, alt="media"), limit=max_bytes)
        version = response.headers.get("x-goog-generation", item.version)
        if (version, len(data)) != (item.version, item.size):
            item = replace(item, version=version, size=len(data))
        return data, item

    def download(self, uri: str) -> bytes | None:
        with reported(OutputError, f"can't read {uri}"):
            return self._unless_missing("GET", self._url(uri, alt="media"))

    def fetch(self, uri: str, path: str) -> bool:
        with reported(OutputError, f"can't read {uri}"):
            item = self._find(uri)
            if item is None:
                return False
            # All parts are of this generation: the copy fails if it is overwritten meanwhile.
            url = self._url(uri, alt="media", generation=item.version or "")
            with open(path, "wb") as file:
                for start in range(0, item.size or 0, PART):
                    part = {"Range": f"bytes={start}-{start + PART - 1}"}
                    file.write(self._send("GET", url, headers=part)[1])
                if file.tell() != item.size:
                    raise ImageError("read_error", f"{file.tell()} of {item.size} bytes came")
            return True

    def upload(self, path: str, uri: str) -> None:
        bucket, name = split(uri)
        query = urlencode({"uploadType": "media", "name": name})
        url = f"{self._endpoint}/upload/storage/v1/b/{_quote(bucket)}/o?{query}"
        with reported(OutputError, f"can't write {uri}"), open(path, "rb") as file:
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(os.fstat(file.fileno()).st_size),
            }
            self._send("POST", url, body=_Content(file), headers=headers)

    def delete(self, uri: str) -> None:
        with reported(OutputError, f"can't remove {uri}"):
            self._unless_missing("DELETE", self._url(uri))

    def _find(self, uri: str) -> Item | None:
        data = self._unless_missing("GET", self._url(uri, fields="name,generation,size"))
        return None if data is None else _item(split(uri)[0], json.loads(data))

    def _objects(self, bucket: str, prefix: str) -> Iterator[Item]:
        query = {"prefix": prefix, "fields": "items(name,generation,size),nextPageToken"}
        while True:
            url = f"{self._endpoint}/storage/v1/b/{_quote(bucket)}/o?{urlencode(query)}"
            page = json.loads(self._send("GET", url)[1])
            for found in page.get("items", ()):
                yield _item(bucket, found)
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _url(self, uri: str, **query: str) -> str:
        bucket, name = split(uri)
        url = f"{self._endpoint}/storage/v1/b/{_quote(bucket)}/o/{_quote(name)}"
        return f"{url}?{urlencode(query)}" if query else url

    def _unless_missing(self, method: str, url: str) -> bytes | None:
        try:
            return self._send(method, url)[1]
        except ImageError as error:
            if error.code == "not_found":
                return None
            raise

    def _send(
        self, method: str, url: str, **options: Any
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        try:
            return send(self._http, method, url, **options)
        except GoogleAuthError as error:
            code = "read_error" if error.retryable else "permission_denied"
            raise ImageError(code, f"no access to gs://: {first_line(error)}") from error


class _Content:
    """A file as the body of a request, from its beginning each time that it is sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        return iter(lambda: self._file.read(1 << 20), b"")


def _item(bucket: str, found: Mapping[str, str]) -> Item:
    return Item(f"gs://{bucket}/{found['name']}", found["generation"], int(found["size"]))


def _quote(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


def _with_scheme(host: str | None) -> str | None:
    return f"http://{host}" if host and "://" not in host else host
