"""What a JPEG file will take to decode, told by its markers."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

from flowers_onnx.errors import ImageError

#: As in libtiff: encoders make a dozen.
MAX_SCANS = 100


def keeps_coefficients(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a JPEG must be held in memory whole: progressive, or with several scans.

    Pillow has just read the header of the first scan, which says how many components it
    holds: all of them if there is no other scan.
    """
    if "progressive" in image.info:
        return True
    components = len(image.getbands())
    length = 6 + 2 * components
    end = file.tell()
    file.seek(max(0, end - length - 2))
    scan = file.read(length + 2)
    file.seek(end)
    return scan[:5] != b"\xff\xda" + length.to_bytes(2, "big") + bytes([components])


def check_scans(file: BinaryIO) -> None:
    """Refuse a JPEG whose decoder would go over all of it again and again.

    A scan takes 20 bytes in the file, and as long to decode as the picture is large: minutes, in
    a file of 100 KB. Pillow has just read the header of the first one.
    """
    begin = file.tell()
    rest = file.read()
    file.seek(begin)
    end = rest.find(b"\xff\xd9")  # neither marker is ever in a scan's data
    scans = 1 + rest.count(b"\xff\xda", 0, len(rest) if end < 0 else end)
    if scans > MAX_SCANS:
        raise ImageError("too_large", f"{scans} scans are too many to decode")
