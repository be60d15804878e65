"""``flowers compare`` from its options to its exit code."""

from __future__ import annotations

import os
from itertools import islice

from flowers_onnx.classifier import Classifier
from flowers_onnx.compare import text
from flowers_onnx.compare.comparison import Comparison
from flowers_onnx.compare.likeness import Likeness
from flowers_onnx.compare.options import Options
from flowers_onnx.compare.subject import EXAMPLES, Subject, examples, path_in, photo, species
from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.index.index import Index
from flowers_onnx.index.photo import IndexedPhoto
from flowers_onnx.metadata import ModelInfo, read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.record import to_json
from flowers_onnx.writers import open_output, printable


def run(options: Options) -> int:
    """Compare, and show it; 1 if a photo couldn't be read."""
    info = read_info(find_model(options.model))
    paths = [path_in(word) for word in (options.a, options.b)]
    _refuse_overwriting(options, paths)
    # Names first: they are told in no time.
    named = {
        word: species(word, info)
        for word, path in zip((options.a, options.b), paths, strict=True)
        if path is None
    }
    if paths == [None, None] and named[options.a].position == named[options.b].position:
        name = info.labels[named[options.a].position or 0].name(options.lang)
        raise UsageError(f"{options.a!r} and {options.b!r} are one species, {name}: name another")
    index = None if options.index is None else Index.open(options.index, info)
    confusions = info.confusions() or None
    classifier = _classifier(options) if any(paths) else None
    a, b = (
        photo(path, classifier, options.lang) if path and classifier else named[word]
        for word, path in zip((options.a, options.b), paths, strict=True)
    )
    for side in (a, b):
        if side.failure:
            say(f"{printable(side.given)}: {side.failure.message} ({side.failure.code})")
    shown = None if index is None else (_examples(index, info, a), _examples(index, info, b))
    comparison = Comparison(info, a, b, Likeness.of(info), confusions, shown)
    if a.failure is None or b.failure is None or options.format == "json":
        _write(comparison, options, classifier, index)
    return 1 if a.failure or b.failure else 0


def _write(
    comparison: Comparison, options: Options, classifier: Classifier | None, index: Index | None
) -> None:
    with open_output(options.out) as stream:
        match options.format:
            case "json":
                stream.write(to_json(comparison.to_record()) + "\n")
            case "html":
                from flowers_onnx.compare.page import Page
                from flowers_onnx.compare.pictures import Pictures  # loads what draws

                pictures = Pictures(comparison.info, options.max_pixels, classifier, index)
                stream.writelines(Page(comparison, options.lang, pictures).parts())
            case _:
                stream.writelines(f"{line}\n" for line in text.lines(comparison, options.lang))


def _classifier(options: Options) -> Classifier:
    from flowers_onnx.machine import share_one_heap

    share_one_heap()
    return Classifier(options.model, max_pixels=options.max_pixels)


def _examples(index: Index, info: ModelInfo, side: Subject) -> list[IndexedPhoto]:
    if side.position is None:
        return []
    return [*islice(examples(index, info.labels[side.position], side), EXAMPLES)]


def _refuse_overwriting(options: Options, paths: list[str | None]) -> None:
    """Raise ``UsageError`` where the output is one of the inputs."""
    if options.out is None or not os.path.exists(options.out):
        return
    for given in (*paths, options.index, find_model(options.model)):
        if given is not None and os.path.exists(given) and os.path.samefile(options.out, given):
            raise UsageError(f"--out {options.out} would overwrite what it is made of")
