"""What a saved result is known by; ``docs/benchmark.md`` describes its fields."""

from __future__ import annotations

KIND = "flowers-onnx benchmark"
#: A minor step (1.1) adds fields, a major step (2.0) changes or removes some.
SCHEMA = "1.0"

#: The stages of a photo, in the order in which they happen.
STAGES = (
    "start",
    "arguments",
    "imports",
    "load",
    "read",
    "decode",
    "preprocess",
    "inference",
    "postprocess",
    "output",
    "exit",
)
