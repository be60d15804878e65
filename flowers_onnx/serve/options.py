"""What ``flowers serve`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from flowers_onnx.results import Query

#: Cloud Run takes no more over HTTP/1.
MAX_BODY = 32 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a server; None leaves a choice to what the process finds."""

    host: str = "127.0.0.1"
    port: int = 8080
    auth: str = "none"  # keys, iam or none
    keys: str | None = None
    audience: str | None = None
    emails: tuple[str, ...] = ()
    rate: float | None = None  # requests a second and key
    slots: int | None = None  # photos in work; the CPUs allowed
    queue: int | None = None  # requests that wait for a slot
    max_body: int = MAX_BODY
    max_files: int = 32
    max_pixels: int | None = None
    query: Query = Query()  # noqa: RUF009  frozen
    model: str | None = None
    keep: str | None = None
    trace: str | None = None
    durability: str | None = None  # strict, spool or best-effort
    spool: str | None = None
    spool_bytes: int = 1 << 30
    keep_exif: bool = False
    client_address: bool = False
    fresh: str | None = None
    cors: tuple[str, ...] = ()
    log_format: str = "json"
