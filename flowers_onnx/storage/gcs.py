"""Google Cloud Storage: ``gs://bucket/name``, by its JSON API over urllib3 and google-auth.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from flowers_onnx.errors import ImageErrorCode, StorageError, UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.storage.buckets import BucketStore
from flowers_onnx.storage.failures import one_line, refuse_larger, reported, unless_missing
from flowers_onnx.storage.item import Admit, Item
from flowers_onnx.storage.uris import object_uri, split_object

try:
    import google.auth
    import urllib3
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.urllib3 import AuthorizedHttp, Request

    from flowers_onnx.storage.http import PRECONDITION_FAILED, connections, send
except ImportError as error:
    raise missing_extra("gcs", "gs://") from error

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
#: Bytes of a large object that one request brings.
PART = 16 << 20

_BYTES = {"Content-Type": "application/octet-stream"}


class GcsStore(BucketStore):
    """A ``Store`` of Google Cloud Storage; ``Item.version`` is the generation.

    The variables of Google's own client are read: ``STORAGE_EMULATOR_HOST``, which asks for
    no credentials, ``API_ENDPOINT_OVERRIDE``, and those of the application's default
    credentials. Raises ``UsageError`` if there are none or they don't work.
    """

    def __init__(self) -> None:
        if emulator := os.environ.get("STORAGE_EMULATOR_HOST"):
            self._endpoint = emulator if "://" in emulator else f"http://{emulator}"
            self._http: Any = connections(self._endpoint)
            return
        default = "https://storage.googleapis.com"
        self._endpoint = os.environ.get("API_ENDPOINT_OVERRIDE", default)
        self._http = connections(self._endpoint)
        try:
            credentials, _ = google.auth.default(scopes=[SCOPE])
            credentials.refresh(Request(self._http))  # once, before many threads would
        except GoogleAuthError as error:
            reason = f"no access to gs://: {one_line(error)}"
            if error.retryable:
                raise StorageError("read_error", reason) from error
            raise UsageError(reason) from error
        self._http = AuthorizedHttp(credentials, self._http)

    def read(self, item: Item, max_bytes: int, admit: Admit | None = None) -> tuple[bytes, Item]:
        refuse_larger(item.size, max_bytes)
        response, data = self._send(
            "GET", self._url(item.uri, alt="media"), limit=max_bytes, admit=admit
        )
        version = response.headers.get("x-goog-generation", item.version)
        if (version, len(data)) != (item.version, item.size):
            item = replace(item, version=version, size=len(data))
        return data, item

    def download(self, uri: str) -> bytes | None:
        with reported(f"can't read {uri}"):
            found = unless_missing(lambda: self._send("GET", self._url(uri, alt="media")))
            return found and found[1]

    def fetch(self, uri: str, path: str) -> bool:
        with reported(f"can't read {uri}"):
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
                    raise StorageError("read_error", f"{file.tell()} of {item.size} bytes came")
            return True

    def upload(self, path: str, uri: str) -> None:
        with reported(f"can't write {uri}"), open(path, "rb") as file:
            headers = _BYTES | {"Content-Length": str(os.fstat(file.fileno()).st_size)}
            self._send("POST", self._upload_url("media", uri), body=_Content(file), headers=headers)

    def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        with reported(f"can't write {uri}"):
            boundary = secrets.token_hex(16)
            # Generation 0 is that of no object.
            condition = {"ifGenerationMatch": "0"} if if_absent else {}
            body = _multipart(split_object(uri)[1], data, boundary)
            response, _ = self._send(
                "POST",
                self._upload_url("multipart", uri, **condition),
                body=body,
                headers={
                    "Content-Type": f"multipart/related; boundary={boundary}",
                    "Content-Length": str(sum(map(len, body))),
                },
                accepted={PRECONDITION_FAILED} if if_absent else (),
            )
            return bool(response.status != PRECONDITION_FAILED)

    def delete(self, uri: str) -> None:
        with reported(f"can't remove {uri}"):
            unless_missing(lambda: self._send("DELETE", self._url(uri)))

    def _find(self, uri: str) -> Item | None:
        url = self._url(uri, fields="name,generation,size")
        found = unless_missing(lambda: self._send("GET", url))
        return found and _item(split_object(uri)[0], json.loads(found[1]))

    def _objects(self, bucket: str, prefix: str, after: str = "") -> Iterator[Item]:
        query = {"prefix": prefix, "fields": "items(name,generation,size),nextPageToken"}
        if after:
            query["startOffset"] = after  # itself among them
        while True:
            url = f"{self._endpoint}/storage/v1/b/{_quote(bucket)}/o?{urlencode(query)}"
            page = json.loads(self._send("GET", url)[1])
            for found in page.get("items", ()):
                if found["name"] != after:
                    yield _item(bucket, found)
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _url(self, uri: str, **query: str) -> str:
        bucket, name = split_object(uri)
        url = f"{self._endpoint}/storage/v1/b/{_quote(bucket)}/o/{_quote(name)}"
        return f"{url}?{urlencode(query)}" if query else url

    def _upload_url(self, kind: str, uri: str, **query: str) -> str:
        bucket, name = split_object(uri)
        parameters = urlencode({"uploadType": kind, "name": name, **query})
        return f"{self._endpoint}/upload/storage/v1/b/{_quote(bucket)}/o?{parameters}"

    def _send(
        self, method: str, url: str, **options: Any
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        try:
            return send(self._http, method, url, **options)
        except GoogleAuthError as error:
            code: ImageErrorCode = "read_error" if error.retryable else "permission_denied"
            raise StorageError(code, f"no access to gs://: {one_line(error)}") from error


def _multipart(name: str, data: bytes, boundary: str) -> list[bytes]:
    """An object's name and content, as Google's client sends a small object; nothing is copied."""
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
        f"{json.dumps({'name': name}, allow_nan=False)}\r\n"
        f"--{boundary}\r\nContent-Type: {_BYTES['Content-Type']}\r\n\r\n"
    )
    return [head.encode(), data, f"\r\n--{boundary}--\r\n".encode()]


class _Content:
    """A file as the body of a request, from its beginning each time that it is sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        return iter(lambda: self._file.read(1 << 20), b"")


def _item(bucket: str, found: Mapping[str, str]) -> Item:
    return Item(object_uri("gs", bucket, found["name"]), found["generation"], int(found["size"]))


def _quote(name: str) -> str:
    return quote(name, safe="")
