"""The options of ``flowers beam``, checked; Apache Beam isn't needed for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

from flowers_onnx.cli.flags import choice, count
from flowers_onnx.errors import UsageError, missing_extra
from flowers_onnx.metadata import LANGUAGES
from flowers_onnx.results import Query
from flowers_onnx.storage.uris import is_table, path_of, table_of

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
    max_pixels: int | None
    runner_options: tuple[str, ...]


def parse(
    words: tuple[str, ...],
    *,
    out: str | None,
    dead_letter: str | None,
    top_k: str | None,
    lang: str,
    model: str | None,
    max_pixels: str | None,
) -> Options:
    """Check the values of the command line; raises ``UsageError``."""
    # Beam's options all begin with a dash, and no source does: `./-name` is the same file.
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    sources, runner_options = words[:first], words[first:]
    if not sources:
        raise UsageError("beam needs a SOURCE: a file, a folder, a pattern, gs:// or s3://")
    if out is None:
        raise UsageError("beam needs --out: FILE.jsonl, FILE.parquet or bigquery://P.DATASET.TABLE")
    options = Options(
        sources=sources,
        out=_target("out", out),
        dead_letter=_target("dead_letter", dead_letter or _beside(out)),
        query=Query(5 if top_k is None else count("top_k", top_k), choice("lang", lang, LANGUAGES)),
        model=model,
        max_pixels=None if max_pixels is None else count("max_pixels", max_pixels),
        runner_options=runner_options,
    )
    if options.dead_letter == options.out:
        raise UsageError("--dead_letter must be another place than --out")
    if find_spec("apache_beam") is None:
        raise missing_extra("beam", "flowers beam")
    return options


def _target(flag: str, uri: str) -> Files | Table:
    if is_table(uri):
        try:
            return Table("{}:{}.{}".format(*table_of(uri)))
        except UsageError as error:
            raise UsageError(
                f"--{flag} must be bigquery://PROJECT.DATASET.TABLE, not {uri}"
            ) from error
    prefix, suffix = os.path.splitext(path_of(uri))
    if suffix.lower() not in FILE_SUFFIXES:
        known = ", ".join(FILE_SUFFIXES)
        raise UsageError(f"--{flag} must end in {known} or be bigquery://P.DATASET.TABLE: {uri}")
    return Files(prefix, suffix)


def _beside(out: str) -> str:
    """Where failures go unless told: beside the result, and matched by no pattern of it."""
    if is_table(out):
        return f"{out}_errors"
    return f"{os.path.splitext(out)[0]}.errors.jsonl"
