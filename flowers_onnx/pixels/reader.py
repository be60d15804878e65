"""How an image file is opened, what that takes, and what is left to try if it fails."""

from __future__ import annotations

from importlib import import_module
from typing import Any, BinaryIO

from PIL import Image

from flowers_onnx.image_formats import READABLE
from flowers_onnx.pixels.memory import Need, need_of


class Mended:
    """The same picture without what isn't needed for its pixels.

    ``info`` is what Pillow's ``Image.info`` would have had of it: EXIF and XMP, which say how it is
    turned, and its colour profile.
    """

    def __init__(self, file: BinaryIO, info: dict[str, Any]) -> None:
        self.file, self.info = file, info


class Reader:
    """Pillow's way. A format that needs more has its own, in a module of its name."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        """Look at the file; raises ``ImageError`` for a variant that isn't supported."""
        self.name, self.file = name, file

    def early_need(self) -> Need | None:
        """What it takes, where opening it takes memory already. Not to be trusted in all."""
        return None

    def open(self, file: BinaryIO) -> Image.Image:
        """The image, not decoded yet; raises what Pillow does. ``file`` is ours, or mended."""
        import_module(f"PIL.{READABLE[self.name]}")
        # Not `Image.open`, which loads five plugins for any format, and warns of large
        # images by a filter that threads share.
        make, _ = Image.OPEN[self.name]
        return make(file, "")

    def reduce(self, image: Image.Image, side: int) -> None:
        """Have the decoder leave fewer pixels, if it can: no side shorter than ``side``."""

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:
        """What decoding takes; ``size`` is the image's own, before ``reduce``."""
        return need_of(image, size)

    def look_at(self, image: Image.Image) -> None:
        """Note what makes the decoded pixels doubtful, before they are made smaller."""

    def confirm(self, file: BinaryIO, max_pixels: int) -> None:
        """Raise ``ImageError`` if those of ``file``, ours or mended, are not all there."""

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002  for those that decode
        """What is left to try when opening or decoding has failed; None for nothing.

        Raises ``ImageError`` if it can tell better what is wrong.
        """
        return None
