"""``flowers report`` from its options to its exit code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.progress import Progress, visible_beside
from flowers_onnx.report.options import Options
from flowers_onnx.report.page import Page
from flowers_onnx.report.summary import summarize
from flowers_onnx.report.texts import TEXTS
from flowers_onnx.report.thumbnails import Thumbnail, thumbnails
from flowers_onnx.results import Result
from flowers_onnx.storage.uris import local_path, name_of
from flowers_onnx.tables.reading import read_results
from flowers_onnx.web.words import Words
from flowers_onnx.writers import open_output


class _NoResultsError(Exception):
    """Leaves what is at ``--out`` as it is."""


def run(options: Options) -> int:
    """Write the page; 1 if there is no result to show, and then no page."""
    results, out = options.results, options.out
    paths = [path for path in map(local_path, results) if path and os.path.exists(path)]
    if out and os.path.exists(out) and any(os.path.samefile(out, path) for path in paths):
        raise UsageError(f"--out {out} would overwrite the results")
    maps = None
    if options.why:
        from flowers_onnx.report.maps import Maps  # loads the model

        maps = Maps(options.model)
    folder = os.path.dirname(os.path.realpath(out)) if out and out != "-" else None
    try:
        with (
            open_output(out) as stream,
            Progress(wanted=visible_beside(out)) as progress,
        ):
            summary = summarize(_read(results, progress), options.max_photos)
            if not summary.total:
                raise _NoResultsError
            words = Words(options.lang, TEXTS[options.lang])
            trouble = maps and maps.trouble(summary.models)
            if maps and not maps.can_explain(summary.models):
                maps = None
            page = Page(summary, _name(results), folder, words, maps.edge if maps else None)
            progress.expect(len(summary.photos))
            for part in page.parts(lambda photos: _watched(thumbnails(photos, maps), progress)):
                stream.write(part)
    except _NoResultsError:
        say(f"flowers: no results in {', '.join(results)}, so no page is written")
        return 1
    if trouble:
        say(f"flowers: --why: {trouble}")
    if page.lacking:
        say(f"flowers: photos gone, changed or out of reach: {page.lacking}; the page says so")
    return 0


def _read(places: Sequence[str], progress: Progress) -> Iterator[Result]:
    for count, result in enumerate(read_results(places), start=1):
        progress.update(count, "results read")
        yield result


def _watched(pictures: Iterable[Thumbnail], progress: Progress) -> Iterator[Thumbnail]:
    progress.restart()
    for count, picture in enumerate(pictures, start=1):
        progress.update(count, "photos shrunk")
        yield picture


def _name(results: Sequence[str]) -> str:
    """What the page is about: the files' names, if they are few."""
    names = [name_of(word) for word in results]
    return ", ".join(names[:3]) + (f" + {len(names) - 3}" if names[3:] else "")
