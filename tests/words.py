"""What a message for people is not."""

from __future__ import annotations

import re

#: What a decoder says to a programmer: names, numbers of errors, bytes, types.
_RAW = re.compile(
    r"_|0x|\\|\b[a-z]+[A-Z]|\w\.[A-Z]|-\d|\b\w+(?:Error|Exception)\b|\bb'|\btuple|\bNone\b|"
    r"^\W*\d+\W*$|decoder|codec|tile|buffer|unpack|index out|argument|bytes-like|IFD|libtiff|"
    r"struct|unrecogni[sz]ed|BMFF"
)


def raw_text(message: str) -> bool:
    """Whether ``message`` holds text of a decoder that isn't for people, or more than a line."""
    plain = re.sub(r"--[a-z_]+", "", message)  # the program's own flags
    return "\n" in message or not 3 < len(message) < 200 or bool(_RAW.search(plain))
