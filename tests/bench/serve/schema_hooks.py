"""For schemathesis: what the bodies of POST /v1/classify are made of."""

from __future__ import annotations

import io
import re
import uuid
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def picture(side: int, color: int, format: str) -> bytes:
    """A small one."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, format)
    return buffer.getvalue()


pictures = st.builds(
    picture, st.integers(1, 64), st.integers(0, 0xFFFFFF), st.sampled_from(FORMATS)
)

for kind in ("image/*", "image/jpeg", "image/png", "image/webp", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, pictures)


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(_context: Any, case: Any, _arguments: Any) -> None:
    """Equal keys with other photos are refused, as they should be: each good key is a new one."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
