"""One request and its answer, as the log, the metrics and the trace tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from flowers_onnx import __version__
from flowers_onnx.record import Timestamp
from flowers_onnx.results import Prediction, Query, Result
from flowers_onnx.serve.ids import new_request_id, plain, trace_id
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keys.key import hidden
from flowers_onnx.serve.problems import Problem
from flowers_onnx.serve.trace.row import TraceRow, trace_row
from flowers_onnx.tables.schema import utc_now


@dataclass(slots=True)
class Exchange:
    """What is known of a request; it grows on the way."""

    method: str
    headers: Mapping[str, str]
    instance: str
    client: str | None
    request_id: str = field(default_factory=new_request_id)
    time: Timestamp = field(default_factory=utc_now)
    began: float = field(default_factory=perf_counter)
    route: str = ""
    caller: str | None = None
    idempotency_key: str | None = None
    replay_of: str | None = None
    status: int = 0
    problem: Problem | None = None
    #: Seconds from the last byte of the body to the first slot.
    queued: float | None = None
    sent: int = 0
    #: Whether the caller may do what he asks for.
    is_welcome: bool = False
    #: Whether the ledger has been told; until then, what it has to be told of a refused photo.
    kept: bool = False
    refused_photo: TraceRow | None = None
    #: What the client calls it, and the trace that it is part of.
    client_request_id: str | None = field(init=False)
    trace_id: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.client_request_id = plain(self.headers.get("x-request-id"))
        self.trace_id = trace_id(self.headers.get("traceparent"))

    def refuse(self, problem: Problem) -> None:
        """Note how it ends."""
        # Its frames hold this exchange, and so would a cycle: body, rows and all, until the
        # collector of cycles comes by.
        problem.__traceback__ = problem.__cause__ = problem.__context__ = None
        self.problem, self.status = problem, problem.status
        self.caller = self.caller or problem.caller

    @property
    def seconds(self) -> float:
        """Since the header was there."""
        return perf_counter() - self.began

    def row(self, **more: Any) -> TraceRow:
        """The row of this request, as far as it is known."""
        problem = self.problem
        values = {
            "request_id": self.request_id,
            "client_request_id": self.client_request_id,
            "idempotency_key": self.idempotency_key,
            "replay_of": self.replay_of,
            "trace_id": self.trace_id,
            "time": self.time,
            "key_id": self.caller,
            "client_address": self.client,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "error": problem and {"code": problem.code, "message": hidden(problem.detail)},
            "queue_ms": None if self.queued is None else _ms(self.queued),
            "total_ms": _ms(self.seconds),
            "instance": self.instance,
            "version": __version__,
        }
        return trace_row(**(values | more))

    def photo_row(self, photo: Classified, part: int, query: Query, kept_in: str) -> TraceRow:
        """The row of one of its photos."""
        result = photo.result
        record = result.to_record()
        more: dict[str, Any] = {
            "part": part,
            "sha256": result.sha256,
            "size": photo.size,
            "media_type": photo.media_type,
            "lang": query.lang,
            "min_confidence": query.min_confidence,
            "model": result.model,
            "queue_ms": _ms(photo.queued),
            **{name: record[name] for name in _OF_THE_RECORD},  # type: ignore[literal-required]
        }
        if photo.kept is not None:
            more |= {"kept_sha256": photo.kept_sha256, "photo": f"{kept_in}/{photo.kept.name}"}
        if isinstance(result, Prediction):
            timing = result.timing
            more |= {
                "read_ms": round(timing.read, 3),
                "decode_ms": round(timing.decode, 3),
                "preprocess_ms": round(timing.preprocess, 3),
                "inference_ms": round(timing.inference, 3),
            }
        return self.row(**more)


_OF_THE_RECORD = (
    *("width", "height", "label", "class_id", "scientific_name", "confidence", "known", "top"),
    *("prediction_set", "error"),
)


@dataclass(frozen=True, slots=True)
class Classified:
    """A photo with its answer; ``kept`` is what is kept of it, if anything is."""

    result: Result
    size: int
    media_type: str | None
    kept: KeptPhoto | None = None
    kept_sha256: str | None = None
    #: Seconds until it had a slot.
    queued: float = 0


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
