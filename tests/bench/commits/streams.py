"""``flowers stream``: the same requests, in both framings."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path

from bench.commits.masks import STREAM
from bench.commits.steps import Case, Stop, step

BAD_LINES = [
    b"", b"{", b'{"id": NaN}', b'{"id": 1e999, "path": "x"}', b"\xff\xfe", b"[" * 100_000,
    b'["path"]', b'{"path": "x", "pth": 1}', b"{}", b'{"path": "x", "bytes": ""}', b'{"path": 1}',
    b'{"bytes": "*"}', b'{"path": "x", "top_k": 0}', b'{"path": "x", "top_k": true}',
    b'{"path": "x", "top_k": 1.0}', b'{"path": "x", "top_k": "3"}', b'{"path": "x", "lang": "de"}',
    b'{"path": "x", "lang": ["en"]}', b'{"path": "x", "lang": null}', b"null", b"7", b'"path"',
    b'{"id": 7, "path": "x", "unknown": 1}', b'{"id": 8, "bytes": "*"}', b'{"id": 9, "id": 10}',
    b'{"id": {"any": [1, null, "\xc3\xbc"]}, "path": null}', b'\xef\xbb\xbf{"path": "none"}',
    b'{"path": "a\\u0000b"}', b'{"path": "\\ud800"}', b'{"path": "x"} trailing', b'{"path": ""}',
    b'{"bytes": ""}', b'{"bytes": "QUJD"}', b'{"bytes": "QUJD\\n"}', b'  {"path": "none"}  \r',
    b'{"path": "-"}', b'{"path": "*.jpg"}', b'{"path": "file:///dev/null"}',
    b'{"path": "gs://b/o"}', b'{"path": "/dev/stdin"}', b'{"path": "."}', b'{"path": "\\u2028"}',
    b'{"id": 123456789012345678901234567890, "path": "none"}', b'{"id": -0.0, "path": "none"}',
    b'{"id": "\\ud83c\\udf38 \\u2028", "path": "none"}', b'{"id": "\\ud800", "path": "none"}',
    b'{"path": "' + b"x" * 5000 + b'"}', b'{"' + b"y" * 200 + b'": 1}',
]  # fmt: skip


def cases(inputs: Path) -> Iterator[Case]:
    masks = (STREAM,)
    odd = sorted((inputs / "odd").iterdir())
    lines = [*_requests(inputs, odd), *BAD_LINES]
    everything = b"\n".join([*lines, *lines[:20]])
    small = b"\n".join([*lines[::17], *BAD_LINES])
    yield Case("stream of lines", (step("stream", stdin=everything + b"\n"),), masks)
    yield Case(
        "stream of lines, flags",
        (step("stream", "--workers", "1", "--lang", "es", "--top_k", "2", stdin=small),
         step("stream", "--workers=3", "--lang=la", "--top-k=1", "--framing=jsonl", stdin=small),
         step("stream", "--max_pixels", "50000", stdin=small), step("stream", stdin=b""),
         step("stream", stdin=b"\n"), step("stream", stdin=lines[0]),
         step("stream", stdin=b"\r\n\r\n"), step("stream", shell='"$@" < /dev/null')),
        masks,
    )  # fmt: skip
    frames = b"".join(_frame(path.read_bytes()) for path in odd)
    few = b"".join(_frame(path.read_bytes()) for path in sorted((inputs / "few").iterdir()))
    photo = _frame((inputs / "sample.jpg").read_bytes())
    raw = ("stream", "--framing", "raw")
    yield Case(
        "stream of frames",
        (step(*raw, stdin=frames + _frame(b"") + photo),
         step(*raw, "--top_k", "1", "--lang", "es", "--workers", "1", stdin=few),
         step(*raw, "--max_pixels", "50000", stdin=few), step(*raw, stdin=b""),
         step(*raw, stdin=photo + b"\0\0"), step(*raw, stdin=photo + photo[:99]),
         step(*raw, stdin=photo + (2**31).to_bytes(4, "big") + b"x"),
         step(*raw, stdin=_frame(b"x" * (65 << 20)) + photo)),
        masks,
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):
        yield Case(
            f"stream and {number.name}",
            (step("stream", stop=Stop(number)), step(*raw, stdin=photo, stop=Stop(number, 2)),
             step("stream", stdin=lines[0] + b"\n", stop=Stop(number, 2))),
            masks,
        )  # fmt: skip
    yield Case(
        "stream whose reader left",
        (step("stream", stdin=everything, shell='"$@" | head -n 3; echo "${PIPESTATUS[0]}"'),),
        masks,
    )


def _requests(inputs: Path, odd: list[Path]) -> Iterator[bytes]:
    for number, path in enumerate(odd):
        request = {"id": number, "path": str(path)}
        if number % 3 == 1:
            request = {"id": f"é{number}", "bytes": base64.b64encode(path.read_bytes()).decode()}
        if number % 5 == 2:
            request |= {"top_k": 1 + number, "lang": ("en", "es", "la")[number % 3]}
        yield json.dumps(request).encode()
    for path in sorted((inputs / "names").iterdir()):
        yield json.dumps({"path": str(path)}).encode()
    for place in ("nested/self.jpg", "nested/dangling.jpg", "pipes/pipe.jpg", "pipes/photo.jpg"):
        yield json.dumps({"id": None, "path": str(inputs / place)}).encode()


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
