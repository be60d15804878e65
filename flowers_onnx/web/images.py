"""Photos inside a page."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

from PIL import Image, WebPImagePlugin  # noqa: F401  naming the plugin spares loading them all


def data_url(image: Image.Image, **options: Any) -> str:
    """The image as WebP, in a ``data:`` URL; ``options`` are Pillow's for the format."""
    return url_of(webp(image, **{"quality": 80, **options}))


def webp(image: Image.Image, **options: Any) -> bytes:
    """The image as WebP."""
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()


def url_of(content: bytes) -> str:
    """A ``data:`` URL of WebP."""
    return f"data:image/webp;base64,{b64encode(content).decode()}"
