"""What ``flowers beam`` is asked for; Apache Beam isn't needed to say that."""

from __future__ import annotations

from dataclasses import dataclass

from flowers_onnx.errors import UsageError
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import is_table, path_of, split_suffix, table_of

FILE_SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Files:
    """``PREFIX-00000-of-00012SUFFIX``: as many files as the runner has writers."""

    prefix: str
    suffix: str

    @property
    def pattern(self) -> str:
        """Matches all files of a result, and none of its dead letter's."""
        return f"{self.prefix}-?????-of-?????{self.suffix}"


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
    if suffix.lower() not in FILE_SUFFIXES:
        known = ", ".join(FILE_SUFFIXES)
        raise UsageError(f"--{flag} must end in {known} or be bigquery://P.DATASET.TABLE: {uri}")
    return Files(prefix, suffix)


def beside(out: str) -> str:
    """Where failures go unless told: beside the result, and matched by no pattern of it."""
    if is_table(out):
        return f"{out}_errors"
    return f"{split_suffix(out)[0]}.errors.jsonl"
