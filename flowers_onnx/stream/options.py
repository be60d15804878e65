"""What ``flowers stream`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from flowers_onnx.results import Query


@dataclass(frozen=True, slots=True)
class Options:
    """How requests are framed, what answers them, and the query of those that have none."""

    framing: str
    query: Query
    model: str | None
    threads: int | None
    max_pixels: int
