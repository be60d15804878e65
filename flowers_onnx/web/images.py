"""Photos inside a page."""

from __future__ import annotations

import io
from base64 import b64encode

from PIL import Image, WebPImagePlugin  # noqa: F401  naming the plugin spares loading them all


def data_url(image: Image.Image, quality: int = 80) -> str:
    """The image as WebP, in a ``data:`` URL."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
