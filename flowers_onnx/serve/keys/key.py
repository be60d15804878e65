"""The form of a key: ``flw_<short>_<secret>``, of letters and digits.

``short``, 8 of them, is the public id: it names the key in the file of keys, in logs and in the
trace. ``secret`` is 43 of them by chance, which are 256 bits, and 6 that are the CRC-32 of all
that stands before. So a key with a typo, or cut off, is refused before anything is looked up,
and a scanner for leaked secrets that checks the sum has no false alarms. Every change within 32
bits in a row changes a CRC-32: any one character, any two neighbours swapped.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "flw"
#: For secret scanners.
PATTERN = r"\bflw_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}\b"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHORT, _SECRET, _SUM = 8, 43, 6
_FORM = re.compile(PATTERN)
_ANY = re.compile(rf"({PREFIX}_[0-9A-Za-z]{{8}}_)[0-9A-Za-z]+")
_SHORT_FORM = re.compile(rf"[0-9A-Za-z]{{{_SHORT}}}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner has it; only ``id`` may be shown."""

    id: str
    text: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """What is kept of it: the hash of all of its characters, in hexadecimal.

        A fast hash is right here: there is nothing to guess in 256 bits of chance.
        """
        return hashlib.sha256(self.text.encode()).hexdigest()


def new_key() -> Key:
    """A key that nobody has."""
    short, secret = _by_chance(_SHORT), _by_chance(_SECRET)
    stem = f"{PREFIX}_{short}_{secret}"
    return Key(short, stem + _sum(stem))


def parse(text: str) -> Key | None:
    """The key that ``text`` is; None if it can't be one."""
    if not _FORM.fullmatch(text) or _sum(text[:-_SUM]) != text[-_SUM:]:
        return None
    return Key(text.split("_")[1], text)


def is_short(text: str) -> bool:
    """Whether ``text`` can be the public id of a key."""
    return _SHORT_FORM.fullmatch(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether ``text`` may be (part of) a key, and so mustn't be shown."""
    return text.startswith(f"{PREFIX}_")


def hidden(text: str) -> str:
    """``text`` with the ids alone of all keys in it: clients put them in the oddest places."""
    return _ANY.sub(r"\1...", text) if f"{PREFIX}_" in text else text


def _by_chance(count: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(count))


def _sum(stem: str) -> str:
    number, digits = zlib.crc32(stem.encode()), ""
    for _ in range(_SUM):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
