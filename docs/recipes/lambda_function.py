"""Name the flowers in photos that arrive in a bucket: AWS Lambda, called by S3 for each object.

docs/recipes.md says how it is deployed. The record of each photo is printed, one JSON line in
CloudWatch Logs, and kept as ``KEY.json`` in the bucket ``RESULTS_BUCKET`` if that is set.

A photo that can't be read has a record too, with its error. What may pass, or needs a person (a
dropped connection, a missing right), is raised: Lambda tries the event again, twice, and then
hands it to the function's destination for failures. Doing an event twice gives the same object.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3

from flowers_onnx import Classifier, Failure

RESULTS_BUCKET = os.environ.get("RESULTS_BUCKET")
# Once for each sandbox, in its time to start; then for all of its events.
CLASSIFIER = Classifier()
S3 = boto3.client("s3")


def handler(event: dict[str, Any], _context: object) -> list[dict[str, Any]]:
    """Answer an event of S3; returns the records of its objects."""
    return [answer(entry["s3"]) for entry in event["Records"]]


def answer(source: dict[str, Any]) -> dict[str, Any]:
    """Classify one object, and keep its record."""
    bucket = source["bucket"]["name"]
    if bucket == RESULTS_BUCKET:
        raise ValueError(f"{bucket} has the photos: results there would be events again")
    key = unquote_plus(source["object"]["key"])
    record = {**classify(bucket, key, source["object"].get("versionId"))}
    record["path"] = f"s3://{bucket}/{key}"
    line = json.dumps(record)
    print(line)
    if RESULTS_BUCKET:
        S3.put_object(
            Bucket=RESULTS_BUCKET, Key=f"{key}.json", Body=line.encode(),
            ContentType="application/json",
        )  # fmt: skip
    return record


def classify(bucket: str, key: str, version: str | None) -> dict[str, Any]:
    """The record of one object; of its version, where the bucket keeps them."""
    wanted = {"VersionId": version} if version else {}
    try:
        body = S3.get_object(Bucket=bucket, Key=key, **wanted)["Body"]
    except S3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchVersion"}:
            raise
        # Deleted before its turn came.
        gone = Failure("not_found", "no such object", None, None, CLASSIFIER.info.id)
        return dict(gone.to_record())
    with body:
        result = CLASSIFIER.result(body)  # reads no more than a photo may have
    if isinstance(result, Failure) and result.code in {"read_error", "internal_error"}:
        raise RuntimeError(f"s3://{bucket}/{key}: {result.message}")
    return dict(result.to_record())
