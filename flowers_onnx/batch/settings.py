"""The settings that decide what a row says, so that one result isn't made with two of them.

The rows themselves tell: their model, how many candidates they have, and the language of these.
So a result can be moved, and one of any version be continued. Of ``--min_confidence`` they tell
only where it would have decided otherwise, and of ``--exif`` nothing where photos have none; so
the provenance record and the journal have both.
``--max_pixels`` is no such setting: it decides whether there is an answer, and not which.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from flowers_onnx.batch.shard import Shard
from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.metadata import LANGUAGES, ModelInfo
from flowers_onnx.record import RECORD_SCHEMA, ClassId
from flowers_onnx.results import Query
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_table, local_path, split_suffix, uri_of
from flowers_onnx.tables.schema import AnyRow

_LEAST, _EXIF = "min_confidence", "exif"


@dataclass(frozen=True)
class Settings:
    """Those of this run."""

    model: ModelInfo
    query: Query
    exif: bool = False

    def check(self, row: AnyRow, place: str) -> None:
        """Raise ``UsageError`` if this run would have named the image of ``row`` otherwise.

        ``place`` is where the row is. An error has no names in it, and is the same in all.
        """
        if row["status"] != "ok":
            return
        top, ours = row["top"], self.query.lang
        # Some flowers have the same name in two languages.
        spoken = (lang for lang in (ours, *LANGUAGES) if self._speaks(lang, top))
        differing = self._differing(row["model"], len(top), next(spoken, None))
        if not differing and (rule := self._other_rule(row)):
            differing = [rule]
        _refuse(place, differing)

    @property
    def unseen(self) -> AnyRow:
        """What rows don't tell, as a journal notes it."""
        least = self.query.min_confidence
        return ({} if least is None else {_LEAST: least}) | ({_EXIF: True} if self.exif else {})

    def check_unseen(self, made_with: AnyRow, place: str) -> None:
        """The same with what a journal notes."""
        _refuse(place, self._other_unseen(made_with))

    def check_record(self, record: str, place: str) -> None:
        """The same with a result's provenance record, at ``record`` if there is one."""
        with _unreadable_is_none():
            given = json.loads(store_for(record).download(record) or b"{}")["arguments"]
            _refuse(place, self._other_unseen(given))

    def check_other_shards(self, out: str, shard: Shard) -> None:
        """The same with the provenance record of another shard's result, if there is one.

        ``out`` is this shard's file. A table has the rows of all shards.
        """
        stem, suffix = split_suffix(out)
        if shard.count == 1 or is_table(out):
            return
        end = f"-of-{shard.count:05}{suffix}.run.json"
        own = uri_of(f"{out}.run.json")
        with _unreadable_is_none():
            store = store_for(out)
            names = store.names(stem.removesuffix(shard.suffix) + "-")
            other = next(name for name in names if name.endswith(end) and name != own)
            record = json.loads(store.download(other) or b"{}")
            given = record["arguments"]
            place = (local_path(other) or other).removesuffix(".run.json")
            differing = self._differing(record["model"]["id"], given["top_k"], given["lang"])
            _refuse(place, [*differing, *self._other_unseen(given)])

    @cached_property
    def _names(self) -> dict[str, dict[ClassId, str]]:
        labels = self.model.labels
        return {lang: {one.class_id: one.name(lang) for one in labels} for lang in LANGUAGES}

    @cached_property
    def _most(self) -> int:
        return min(self.query.top_k, len(self.model.labels))

    def _speaks(self, lang: str, top: list[dict[str, Any]]) -> bool:
        names = self._names[lang]
        return all(names.get(one["class_id"]) == one["label"] for one in top)

    def _differing(self, model: str, top_k: int, lang: str | None) -> list[_Differing]:
        """What differs, if anything does; no ``lang`` are labels that the model hasn't."""
        found = []
        if model != self.model.id or lang is None:
            others = " with other labels" * (model == self.model.id)
            found.append(_Differing(f"the model {model}{others}", self.model.id, "its --model"))
        if min(top_k, len(self.model.labels)) != self._most:
            made = f"--top_k {top_k}"
            found.append(_Differing(made, f"--top_k {self.query.top_k}", made))
        if lang not in (None, self.query.lang):
            made = f"--lang {lang}"
            found.append(_Differing(made, f"--lang {self.query.lang}", made))
        return found

    def _other_unseen(self, given: AnyRow) -> list[_Differing]:
        least, exif = given.get(_LEAST), bool(given.get(_EXIF))
        found = []
        if least != self.query.min_confidence:
            made = _least(least)
            found.append(_Differing(made, _least(self.query.min_confidence), made))
        if exif != self.exif:
            found.append(_Differing(_exif(exif), _exif(self.exif), _exif(exif)))
        return found

    def _other_rule(self, row: AnyRow) -> _Differing | None:
        """Whether ``known`` was decided in another way, as far as a row tells."""
        known, least = row.get("known"), self.query.min_confidence
        if least is not None:
            if known is None:
                return _Differing(_least(None), _least(least), _least(None))
            if known != (row["confidence"] >= least):
                return _Differing("another --min_confidence or none", _least(least), "that one")
        elif known is not None and self.model.rejection is None:
            return _Differing("a --min_confidence", "none", "that one")
        elif known is None and self.model.rejection and row["schema"] == RECORD_SCHEMA:
            made = f"the model {row['model']} without its rule for what is known"
            return _Differing(made, "one with it", "its --model")
        return None


class _Differing(NamedTuple):
    """A setting of a result, this run's, and what would be the same."""

    made: str
    ours: str
    give: str


def _least(least: float | None) -> str:
    return f"no --{_LEAST}" if least is None else f"--{_LEAST} {least}"


def _exif(asked: bool) -> str:  # noqa: FBT001
    return f"--{_EXIF}" if asked else f"no --{_EXIF}"


def _refuse(place: str, differing: Sequence[_Differing]) -> None:
    if differing:
        made, ours, give = map(" ".join, zip(*differing, strict=True))
        raise UsageError(
            f"{place} was made with {made}, this run has {ours}; nothing was done: give {give}, "
            "another --out, or --mix_settings"
        )


def _unreadable_is_none() -> contextlib.suppress:
    """For a provenance record: without one, the rows have to do."""
    return contextlib.suppress(StorageError, StopIteration, ValueError, LookupError, TypeError)
