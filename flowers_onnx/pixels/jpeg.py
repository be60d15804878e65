"""JPEG: what a file takes to decode, told by its header, and what its pixels need of it."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

from flowers_onnx.errors import ImageError
from flowers_onnx.pixels.errors import decoding_error, unsupported
from flowers_onnx.pixels.jpeg_header import (
    EOI,
    MAX_SCANS,
    SOS,
    ZEROS,
    Frame,
    picture_markers,
    read_header,
    size_of,
)
from flowers_onnx.pixels.memory import PIXEL_BYTES, Need, area
from flowers_onnx.pixels.reader import Mended, Reader

_JPEG_LS = 0xF7
_LOSSLESS, _LOSSLESS_ARITHMETIC = 0xC3, 0xCB
_PROGRESSIVE = {0xC2, 0xCA}
_HIERARCHICAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE}


class FormatReader(Reader):
    """``header`` is that of the first picture: others may stand behind it (MPF)."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        self._is_doubtful = False
        self.header = read_header(file)
        file.seek(0)
        if self.header.frame:
            _refuse_variants(self.header.frame)
            if self._keeps_coefficients():
                self._check_scans()
                file.seek(0)

    def open(self, file: BinaryIO) -> Image.Image:
        from PIL.JpegImagePlugin import JpegImageFile

        # Not by way of the plugin's function, which looks for more pictures and fails for it.
        return JpegImageFile(file, "")

    def reduce(self, image: Image.Image, side: int) -> None:
        frame = self.header.frame
        if frame is None or frame.marker != _LOSSLESS:  # which libjpeg can't reduce
            image.draft(None, (side, side))

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:
        left = area(image.size)
        if not self._keeps_coefficients():
            return Need(size, left, left * PIXEL_BYTES)
        # With all its coefficients in memory, a JPEG costs nearly the same reduced or not.
        frame = self.header.frame
        held = frame.coefficient_bytes() if frame else 0
        return Need(size, area(size), left * PIXEL_BYTES + held)

    def look_at(self, image: Image.Image) -> None:
        # What libjpeg fills up, without a word, has no coefficients: grey, to the bit.
        last = image.getpixel((image.width - 1, image.height - 1))
        values = last if isinstance(last, tuple) else (last,)
        self._is_doubtful = all(value in (127, 128) for value in values)

    def confirm(self, file: BinaryIO, max_pixels: int) -> None:
        if file is self.file and self._ends_in_zeros():
            raise decoding_error(EOFError())
        if self._is_doubtful:
            from flowers_onnx.pixels.jpeg_mending import is_cut

            if is_cut(self, self.header, max_pixels):
                raise decoding_error(EOFError())

    def _ends_in_zeros(self) -> bool:
        """Whether zeros stand where the rest should be: a download, or a card, that failed."""
        self.file.seek(max(0, size_of(self.file) - ZEROS))
        if self.file.read(ZEROS).strip(b"\0") or self.header.data is None:
            return False
        markers = (marker for _, marker in picture_markers(self.file, self.header.data))
        return EOI not in markers

    def mended(self, max_pixels: int) -> Mended | None:
        if self.header.data is None:
            return None
        from flowers_onnx.pixels.jpeg_mending import mended_jpeg  # what a whole file does without

        return mended_jpeg(self, self.header, max_pixels)

    def _keeps_coefficients(self) -> bool:
        """Whether it is held in memory whole: progressive, or with several scans."""
        frame = self.header.frame
        if frame is None or self.header.data is None:
            return False
        return frame.marker in _PROGRESSIVE or self.header.scanned < len(frame.components)

    def _check_scans(self) -> None:
        """Refuse a JPEG whose decoder would go over all of it again and again.

        A scan takes 20 bytes in the file, and as long to decode as the picture is large: minutes,
        in a file of 100 KB.
        """
        scans = 1
        for _, marker in picture_markers(self.file, self.header.data or 0):
            if marker != SOS:
                return
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError("too_large", f"more than {MAX_SCANS} scans are too many to decode")


def _refuse_variants(frame: Frame) -> None:
    """Raise ``ImageError`` for what is valid, and can't be decoded."""
    if frame.marker == _JPEG_LS:
        raise unsupported("JPEG-LS")
    if frame.marker in _HIERARCHICAL:
        raise unsupported("a hierarchical JPEG")
    if frame.marker == _LOSSLESS_ARITHMETIC:
        raise unsupported("a lossless JPEG in arithmetic coding")
    if frame.bits != 8 and 2 <= frame.bits <= 16:
        raise unsupported(f"{frame.bits}-bit JPEG")
    if len(frame.components) == 2:
        raise unsupported("a JPEG of two colours")
    if not frame.size[1]:
        raise unsupported("a JPEG that tells its height behind its pixels")
