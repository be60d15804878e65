"""Names that files have while they are on their way."""

from __future__ import annotations

import re

from flowers_onnx.image_formats import IMAGE_SUFFIXES, RAW_SUFFIXES, claims_image

#: Ends of names that copies and downloads have until they are whole. Those that begin with a
#: dot (rsync, Syncthing, Nextcloud) are hidden, and so passed over anyway.
_UNFINISHED = (
    *(".part", ".partial", ".filepart", ".tmp", ".temp", ".aria2", ".swp", "~"),
    *(".crdownload", ".crswap", ".download", ".opdownload", ".yadownload"),
    *(".!sync", ".!ut", ".!qb", ".bc!", ".icloud", ".upload", ".uploading", "_tmp"),
)
#: What goes on behind an image's suffix: photo.jpg.Xa31f, photo.jpg_original. Not a number: wget's.
_GOES_ON = re.compile(
    rf"(?:{'|'.join(map(re.escape, (*IMAGE_SUFFIXES, *RAW_SUFFIXES)))})(?!\.\d+$)[._~-]"
)


def is_unfinished(name: str) -> bool:
    """Whether a file has a name that copies have on their way, or a copy or note of an image."""
    lower = name.lower()
    return not claims_image(lower) and (
        lower.endswith(_UNFINISHED) or _GOES_ON.search(lower) is not None
    )
