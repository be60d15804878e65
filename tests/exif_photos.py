"""Photos with time and place, written by Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

Tags = Mapping[int, Any]

TIME: Tags = {
    ExifTags.Base.DateTimeOriginal: "2024:05:17 14:03:22",
    ExifTags.Base.OffsetTimeOriginal: "+02:00",
}
#: A church in Barcelona.
PLACE: Tags = {
    ExifTags.GPS.GPSLatitudeRef: "N",
    ExifTags.GPS.GPSLatitude: (41.0, 24.0, 12.2),
    ExifTags.GPS.GPSLongitudeRef: "E",
    ExifTags.GPS.GPSLongitude: (2.0, 10.0, 26.5),
}


def exif(time: Tags = TIME, place: Tags = PLACE) -> Image.Exif:
    """EXIF with these tags, and a maker: Pillow leaves out what is empty at the top."""
    made = Image.Exif()
    made[ExifTags.Base.Make] = "Maker"
    made.get_ifd(ExifTags.IFD.Exif).update(time)
    made.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    return made


def photo(
    image: Image.Image, format: str = "JPEG", time: Tags = TIME, place: Tags = PLACE
) -> bytes:
    """A file of ``image`` with them."""
    buffer = io.BytesIO()
    image.save(buffer, format, exif=exif(time, place))
    return buffer.getvalue()
