"""Amazon S3 and what speaks its protocol: ``s3://bucket/name``, by boto3.

Content is read with signed URLs over urllib3, for half of the CPU that boto3 takes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.storage.buckets import BucketStore
from flowers_onnx.storage.failures import one_line, refuse_larger, reported, unless_missing
from flowers_onnx.storage.item import Admit, Item
from flowers_onnx.storage.uris import object_uri, split_object

try:
    import boto3
    import boto3.exceptions
    import botocore.config
    import botocore.exceptions

    from flowers_onnx.storage.http import (
        CONNECTIONS,
        PRECONDITION_FAILED,
        connections,
        refusal,
        send,
    )
except ImportError as error:
    raise missing_extra("s3", "s3://") from error

CONFIG = botocore.config.Config(
    signature_version="s3v4",
    retries={"mode": "standard", "total_max_attempts": 7},
    connect_timeout=10,
    read_timeout=30,
    max_pool_connections=CONNECTIONS,
)

#: Somebody else writes the same object at this moment; it is known in a moment who was first.
_CONFLICT = 409
_CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8)


class S3Store(BucketStore):
    """A ``Store`` of S3; ``Item.version`` is the ETag.

    Credentials, region and endpoint come from boto3's own places: its variables
    (``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, ...), its files, the machine's role. Raises
    ``UsageError`` if there are no credentials.
    """

    def __init__(self) -> None:
        try:
            session = boto3.Session()
            self._client: Any = session.client("s3", config=CONFIG)
            self._http = connections(self._client.meta.endpoint_url)
            found = session.get_credentials()
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise UsageError(f"no access to s3://: {one_line(error)}") from error
        if found is None:
            raise UsageError("no access to s3://: no credentials; see `aws configure`")

    def read(self, item: Item, max_bytes: int, admit: Admit | None = None) -> tuple[bytes, Item]:
        refuse_larger(item.size, max_bytes)
        response, data = send(
            self._http, "GET", self._signed(item.uri), limit=max_bytes, admit=admit
        )
        version = _version(response.headers.get("etag", item.version))
        if (version, len(data)) != (item.version, item.size):
            item = replace(item, version=version, size=len(data))
        return data, item

    def download(self, uri: str) -> bytes | None:
        with reported(f"can't read {uri}"):
            found = unless_missing(lambda: send(self._http, "GET", self._signed(uri)))
            return found and found[1]

    def fetch(self, uri: str, path: str) -> bool:
        def download() -> bool:
            bucket, name = split_object(uri)
            with _translated():
                self._client.download_file(bucket, name, path)
            return True

        with reported(f"can't read {uri}"):
            return unless_missing(download) or False

    def upload(self, path: str, uri: str) -> None:
        with reported(f"can't write {uri}"), _translated():
            bucket, name = split_object(uri)
            self._client.upload_file(path, bucket, name)

    def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        with reported(f"can't write {uri}"), _translated():
            bucket, name = split_object(uri)
            for pause in (*_CONFLICT_PAUSES, None):
                try:
                    self._client.put_object(Bucket=bucket, Key=name, Body=data, **condition)
                    break
                except botocore.exceptions.ClientError as error:
                    if if_absent and _status(error) == PRECONDITION_FAILED:
                        return False
                    if not if_absent or _status(error) != _CONFLICT or pause is None:
                        raise
                    time.sleep(pause)
        return True

    def delete(self, uri: str) -> None:
        with reported(f"can't remove {uri}"), _translated():
            bucket, name = split_object(uri)
            self._client.delete_object(Bucket=bucket, Key=name)

    def _find(self, uri: str) -> Item | None:
        def describe() -> Item:
            bucket, name = split_object(uri)
            with _translated():
                found = self._client.head_object(Bucket=bucket, Key=name)
            return Item(uri, _version(found["ETag"]), found["ContentLength"])

        return unless_missing(describe)

    def _objects(self, bucket: str, prefix: str, after: str = "") -> Iterator[Item]:
        pages = self._client.get_paginator("list_objects_v2")
        begin = {"StartAfter": after} if after else {}
        with _translated():
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, **begin):
                for found in page.get("Contents", ()):
                    uri = object_uri("s3", bucket, found["Key"])
                    yield Item(uri, _version(found["ETag"]), found["Size"])

    def _signed(self, uri: str) -> str:
        bucket, name = split_object(uri)
        with _translated():
            place = {"Bucket": bucket, "Key": name}
            url: str = self._client.generate_presigned_url("get_object", place)
        return url


def _version(etag: str | None) -> str | None:
    return etag and etag.strip('"')


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """boto3's errors as ``StorageError``."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise refusal(_status(error), error.response["Error"].get("Message", "")) from error
    except (botocore.exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise StorageError("read_error", one_line(error)) from error


def _status(error: botocore.exceptions.ClientError) -> int:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status
