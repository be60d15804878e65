"""What a decoder's error means for people."""

from __future__ import annotations

from PIL import Image

from flowers_onnx.errors import ImageError

DAMAGED = "the file is damaged: its picture can't be decoded"
#: In what Pillow says of a file that is right, in a way that it can't read.
_UNSUPPORTED = ("unsupported", "not supported", "not implemented")
_CUT = ("truncated", "not enough image data")


def decoding_error(error: Exception, format: str | None = None) -> ImageError:
    """The ``ImageError`` for what Pillow or a library below it has raised.

    Their own words are about the decoder, not about the photo. Raises a warning, which the caller's
    program has made an error of.
    """
    if isinstance(error, Warning):
        from flowers_onnx.pixels.quiet import is_quiet

        if not is_quiet():
            raise error
    text = str(error).lower()
    if isinstance(error, MemoryError):
        return ImageError("too_large", "not enough memory to decode it")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError("too_large", "more pixels than Pillow decodes")
    if isinstance(error, EOFError) or any(words in text for words in _CUT):
        return ImageError("truncated", "the file ends before the image does")
    if isinstance(error, NotImplementedError) or any(words in text for words in _UNSUPPORTED):
        return unsupported(f"this variant of {format or 'the format'}")
    return ImageError("corrupt", DAMAGED)


def unsupported(what: str) -> ImageError:
    """The ``ImageError`` for a file that is right, of a kind that can't be read."""
    return ImageError(
        "unsupported", f"{what} is not supported; convert it to an ordinary (8-bit) JPEG or PNG"
    )
