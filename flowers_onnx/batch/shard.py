"""Shards: which of n processes does an image, decided by its name alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b

from flowers_onnx.errors import UsageError
from flowers_onnx.storage.uris import before_suffix, is_table


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` (from 0) of ``count``."""

    index: int = 0
    count: int = 1

    def has(self, uri: str) -> bool:
        """Whether the object is in this shard; the same everywhere and for ever."""
        if self.count == 1:
            return True
        return hash64(uri) % self.count == self.index

    @property
    def suffix(self) -> str:
        """What tells the names of shards apart; nothing where there is one."""
        return f"-{self.index:05}-of-{self.count:05}" if self.count > 1 else ""

    def name(self, uri: str) -> str:
        """``uri`` with the shard in the file's name: ``a.csv`` -> ``a-00001-of-00004.csv``."""
        return uri if is_table(uri) else before_suffix(uri, self.suffix)


def hash64(text: str) -> int:
    """A number of 64 bits that stands for ``text``, the same everywhere and for ever."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def assigned_shard() -> Shard:
    """The part that Cloud Run gives to this task; else the only one. Raises ``UsageError``."""
    index = os.environ.get("CLOUD_RUN_TASK_INDEX", "0")
    count = os.environ.get("CLOUD_RUN_TASK_COUNT", "1")
    return parse_shard("shard", f"{index}/{count}")


def parse_shard(flag: str, text: str) -> Shard:
    """``i/n`` with i from 0 to n - 1; raises ``UsageError``."""
    index, slash, count = text.partition("/")
    if slash and _is_number(index) and _is_number(count) and int(index) < int(count) <= 99_999:
        return Shard(int(index), int(count))
    raise UsageError(f"--{flag} needs I/N with I from 0 to N - 1, such as 0/4, not {text!r}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6
