"""What a decoder's error means for people."""

from __future__ import annotations

from flowers_onnx.errors import ImageError


def decoding_error(error: Exception) -> ImageError:
    """The ``ImageError`` for what Pillow or a library below it has raised."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return ImageError("too_large", "not enough memory to decode it")
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return ImageError("truncated", "the file ends before the image does")
    return ImageError("corrupt", f"can't be decoded: {text[:200]}")
