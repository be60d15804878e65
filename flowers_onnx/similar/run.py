"""``flowers similar`` from its options to its exit code."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator

from flowers_onnx.classifier import Classifier
from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.index.adding import Added, add_photos
from flowers_onnx.index.index import Index
from flowers_onnx.index.places import journal_of
from flowers_onnx.machine import share_one_heap
from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.progress import Progress, visible_beside, watched
from flowers_onnx.results import Failure, Query, Result
from flowers_onnx.similar.found import Found
from flowers_onnx.similar.options import Options
from flowers_onnx.similar.output import found_writer
from flowers_onnx.sources import RawFiles, Stream, Unreadable, expand
from flowers_onnx.writers import open_output, printable

Sources = Iterable[str | Stream | Unreadable]


def run(options: Options) -> int:
    """Search, or add photos; 1 if some of them failed."""
    raw = RawFiles()
    sources = expand(options.paths, sys.stdin.buffer if sys.stdin else None, raw.note)
    failures = (_add if options.add else _search)(options, sources)
    if raw:
        say(f"flowers: {raw}")
    return 1 if failures else 0


def _search(options: Options, sources: Sources) -> int:
    out = options.out
    info = read_info(find_model(options.model))
    index = Index.open(options.index, info)  # before the network is loaded
    if os.path.exists(journal_of(options.index)):
        say(
            f"flowers: photos were added to {options.index} and aren't in it yet: "
            "flowers similar --add goes on where it stopped"
        )
    classifier = _classifier(options)
    names = {label.class_id: label.name(options.lang) for label in classifier.info.labels}
    asked: deque[str | Stream | Unreadable] = deque()

    def noted() -> Iterator[str | Stream | Unreadable]:
        for source in sources:
            asked.append(source)
            yield source

    def results() -> Iterator[Result]:
        for found in classifier.embeddings(noted(), Query(lang=options.lang)):
            source = asked.popleft()
            if isinstance(found, Failure):
                yield found
                continue
            path = source if isinstance(source, str) else ""
            yield Found.of(
                found.prediction,
                neighbours=tuple(index.search(found, options.top_k, path=path)),
                in_index=bool(path) and index.find(path) is not None,
                names=names,
            )

    with open_output(out) as stream, Progress(wanted=visible_beside(out)) as progress:
        progress.expect(lambda: sum(1 for _ in expand(options.paths, None)))
        writer = found_writer(options.format, stream, classes=len(names))
        return writer.write_all(watched(results(), progress))


def _add(options: Options, sources: Sources) -> int:
    classifier = _classifier(options)
    with Progress() as progress:
        done = 0

        def on_photo(failure: Failure | None, added: Added) -> None:
            nonlocal done
            done += 1
            if failure:
                say(f"{printable(failure.path)}: {failure.message} ({failure.code})")
            progress.update(done, added)

        progress.expect(lambda: sum(1 for _ in expand(options.paths, None)))
        try:
            added = add_photos(options.index, classifier, sources, on_photo)
        except UsageError:
            raise
        except BaseException:
            progress.close()
            if os.path.exists(journal := journal_of(options.index)):
                say(f"flowers: what is done is kept in {journal}; the same command goes on")
            raise
    say(f"flowers: {options.index}: {added}")
    return added.failed


def _classifier(options: Options) -> Classifier:
    share_one_heap()
    return Classifier(options.model, threads=options.threads, max_pixels=options.max_pixels)
