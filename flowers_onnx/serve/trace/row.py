"""The row of a request: what the bucket, BigQuery and any other table hold of it."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict, cast

from flowers_onnx.record import CandidateRecord, ClassId, ErrorRecord, Timestamp, fields_of
from flowers_onnx.tables.schema import Schema

#: Version of the row: a minor step adds fields, a major step changes or removes some.
TRACE_SCHEMA = "1.1"


class TraceRow(TypedDict):
    """One photo of one request; a request without a photo, such as a refused one, is one row."""

    schema: Annotated[str, "version of this row"]
    request_id: Annotated[str, "made by the server, UUIDv7"]
    part: Annotated[int, "which photo of the request, from 0"]
    client_request_id: Annotated[str | None, "the client's X-Request-Id"]
    idempotency_key: Annotated[str | None, "the client's Idempotency-Key"]
    replay_of: Annotated[str | None, "the request whose answer was given again"]
    trace_id: Annotated[str | None, "of the client's traceparent"]
    time: Annotated[Timestamp, "when the request came, UTC"]
    key_id: Annotated[str | None, "who asked: the key's short id, or an e-mail address"]
    client_address: Annotated[str | None, "where from, if the server was told to keep it"]
    method: Annotated[str, "HTTP method"]
    route: Annotated[str, "which of the server's routes"]
    status: Annotated[int, "HTTP status of the answer"]
    sha256: Annotated[str | None, "SHA-256 of the photo as it was sent"]
    kept_sha256: Annotated[str | None, "SHA-256 of the photo as it is kept"]
    photo: Annotated[str | None, "where it is kept"]
    size: Annotated[int | None, "bytes, as sent"]
    media_type: Annotated[str | None, "what the photo is, told by its first bytes"]
    width: Annotated[int | None, "pixels, as displayed"]
    height: Annotated[int | None, "pixels, as displayed"]
    label: Annotated[str | None, "name of the best candidate"]
    class_id: Annotated[ClassId | None, "the data set's id of that class"]
    scientific_name: Annotated[str | None, "its scientific name"]
    confidence: Annotated[float | None, "its probability, 0 to 1"]
    known: Annotated[bool | None, "whether the photo shows one of the model's classes"]
    top: Annotated[list[CandidateRecord], "the best candidates, best first"]
    prediction_set: Annotated[list[CandidateRecord], "the fewest that hold the right one"]
    lang: Annotated[str | None, "language of the names"]
    min_confidence: Annotated[float | None, "from where on it is known, if that was asked for"]
    model: Annotated[str | None, "name and version of the model"]
    error: Annotated[ErrorRecord | None, "why there is no answer"]
    queue_ms: Annotated[float | None, "from the last byte of the body to a free slot"]
    read_ms: Annotated[float | None, "hashing the file"]
    decode_ms: Annotated[float | None, "from its bytes to pixels"]
    preprocess_ms: Annotated[float | None, "crop, resize and orientation"]
    inference_ms: Annotated[float | None, "the network"]
    total_ms: Annotated[float, "from the headers until the answer was ready to be kept"]
    instance: Annotated[str, "which process answered"]
    version: Annotated[str, "of flowers-onnx"]


#: Fields that came with a minor version.
_NEW_IN_1_1 = frozenset({"known", "prediction_set", "min_confidence"})

REQUESTS = Schema(
    name="requests",
    title="Requests to flowers serve (flowers-onnx), a row a photo",
    version=TRACE_SCHEMA,
    fields=fields_of(TraceRow),
    keys=("request_id", "part"),
    time="time",
    group="label",
    earlier={"1.0": _NEW_IN_1_1},
)

_NULLS: dict[str, Any] = dict.fromkeys(TraceRow.__annotations__)


def trace_row(**values: Any) -> TraceRow:
    """A row with these values; all others are null, or empty."""
    empty = {**_NULLS, "top": [], "prediction_set": [], "schema": TRACE_SCHEMA, "part": 0}
    return cast(TraceRow, {**empty, **values})
