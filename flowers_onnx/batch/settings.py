"""The settings that decide what a row says, so that one result isn't made with two of them.

The rows themselves tell: their model, how many candidates they have, and the language of these.
So nothing has to be kept beside a result, and one of any version can be continued. ``--max_pixels``
is no such setting: it decides whether there is an answer, and not which.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flowers_onnx.batch.shard import Shard
from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.metadata import LANGUAGES, ModelInfo
from flowers_onnx.record import ClassId
from flowers_onnx.results import Query
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_table, local_path, split_suffix, uri_of
from flowers_onnx.tables.schema import AnyRow


@dataclass(frozen=True)
class Settings:
    """Those of this run."""

    model: ModelInfo
    query: Query

    def check(self, row: AnyRow, place: str) -> None:
        """Raise ``UsageError`` if this run would have named the image of ``row`` otherwise.

        ``place`` is where the row is. An error has no names in it, and is the same in all.
        """
        if row["status"] != "ok":
            return
        top, ours = row["top"], self.query.lang
        # Some flowers have the same name in two languages.
        spoken = (lang for lang in (ours, *LANGUAGES) if self._speaks(lang, top))
        self._refuse(place, row["model"], len(top), next(spoken, None))

    def check_other_shards(self, out: str, shard: Shard) -> None:
        """The same with the provenance record of another shard's result, if there is one.

        ``out`` is this shard's file. A table has the rows of all shards.
        """
        stem, suffix = split_suffix(out)
        if shard.count == 1 or is_table(out):
            return
        end = f"-of-{shard.count:05}{suffix}.run.json"
        own = uri_of(f"{out}.run.json")
        with contextlib.suppress(StorageError, StopIteration, ValueError, LookupError, TypeError):
            store = store_for(out)
            names = store.names(stem.removesuffix(shard.suffix) + "-")
            other = next(name for name in names if name.endswith(end) and name != own)
            record = json.loads(store.download(other) or b"{}")
            given = record["arguments"]
            place = (local_path(other) or other).removesuffix(".run.json")
            self._refuse(place, record["model"]["id"], given["top_k"], given["lang"])

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

    def _refuse(self, place: str, model: str, top_k: int, lang: str | None) -> None:
        """Name what differs, if anything does; no ``lang`` are labels that the model hasn't."""
        made, ours, give = [], [], []
        if model != self.model.id or lang is None:
            made.append(f"the model {model}" + (" with other labels" * (model == self.model.id)))
            ours.append(self.model.id)
            give.append("its --model")
        if min(top_k, len(self.model.labels)) != self._most:
            made.append(f"--top_k {top_k}")
            ours.append(f"--top_k {self.query.top_k}")
            give.append(made[-1])
        if lang not in (None, self.query.lang):
            made.append(f"--lang {lang}")
            ours.append(f"--lang {self.query.lang}")
            give.append(made[-1])
        if made:
            raise UsageError(
                f"{place} was made with {' '.join(made)}, this run has {' '.join(ours)}; nothing "
                f"was done: give {' '.join(give)}, another --out, or --mix_settings"
            )
