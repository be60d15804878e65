"""What ``flowers beam`` is asked for; Apache Beam isn't needed to say that."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowers_onnx.errors import UsageError
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import (
    DARWIN_CORE,
    is_table,
    literal_prefix,
    path_of,
    split_suffix,
    table_of,
)

FILE_SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Files:
    """``PREFIX-00000-of-00012SUFFIX``: as many files as the runner has writers."""

    prefix: str
    suffix: str

    @property
    def pattern(self) -> str:
        """Matches all files of a result in a bucket, and none of its dead letter's."""
        return f"{self.prefix}-?????-of-?????{self.suffix}"

    def has(self, place: str) -> bool:
        """Whether a path or URI is that of one of its files."""
        files = rf"-\d{{5}}-of-\d{{5}}{re.escape(self.suffix)}"
        return re.fullmatch(files, place.removeprefix(self.prefix)) is not None


@dataclass(frozen=True, slots=True)
class Table:
    """A BigQuery table, ``PROJECT:DATASET.TABLE`` as Beam writes it."""

    name: str


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to do. ``runner_options`` are Beam's own, as they were given."""

    sources: tuple[str, ...]
    out: Files | Table
    dead_letter: Files | Table
    query: Query
    model: str | None
    max_pixels: int
    exif: bool
    runner_options: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.dead_letter == self.out:
            raise UsageError("--dead_letter must be another place than --out")


def target(flag: str, uri: str) -> Files | Table:
    """What ``--flag uri`` means; raises ``UsageError``."""
    if is_table(uri):
        try:
            return Table("{}:{}.{}".format(*table_of(uri)))
        except UsageError as error:
            raise UsageError(
                f"--{flag} must be bigquery://PROJECT.DATASET.TABLE, not {uri}"
            ) from error
    prefix, suffix = split_suffix(path_of(uri))
    if suffix.lower() == DARWIN_CORE:
        raise UsageError(f"--{flag} {uri}: only flowers batch writes Darwin Core")
    if suffix.lower() not in FILE_SUFFIXES:
        known = ", ".join(FILE_SUFFIXES)
        raise UsageError(f"--{flag} must end in {known} or be bigquery://P.DATASET.TABLE: {uri}")
    if literal_prefix(prefix) != prefix:
        raise UsageError(f"--{flag} {uri}: Beam takes *, ? and [ in a name for a pattern")
    return Files(prefix, suffix)


def beside(out: str) -> str:
    """Where failures go unless told: beside the result, and matched by no pattern of it."""
    if is_table(out):
        return f"{out}_errors"
    return f"{split_suffix(out)[0]}.errors.jsonl"
