"""``flowers explain`` from its options to its exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from itertools import count

from PIL import Image

from flowers_onnx.atomic import replacing
from flowers_onnx.classifier import Classifier
from flowers_onnx.console import say
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.explain.options import FORMATS, Options
from flowers_onnx.explain.photos import OURS, Explained, explained, named_sources
from flowers_onnx.explain.picture import can_write, draw
from flowers_onnx.progress import Progress, visible_beside
from flowers_onnx.record import to_json
from flowers_onnx.results import Failure
from flowers_onnx.sources import RawFiles
from flowers_onnx.writers import open_output, printable

#: Tells our pictures from photos, which are never overwritten.
_MADE_BY = "flowers explain"
_SOFTWARE = 0x131  # EXIF

Photos = Iterator[Explained | Failure]


def run(options: Options) -> int:
    """Explain the photos; 1 if one of them couldn't be."""
    _refuse_loop(options)
    raw = RawFiles()
    classifier = Classifier(
        options.model, threads=options.threads, max_pixels=options.max_pixels, explains=True
    )
    sources = named_sources(options.paths, sys.stdin.buffer if sys.stdin else None, raw.note)
    run = _Run(options, classifier, explained(classifier, sources, options))
    run.write()
    if raw:
        say(f"flowers: {raw}")
    return run.finish()


class _Run:
    """One run, and what it counts on the way."""

    def __init__(self, options: Options, classifier: Classifier, photos: Photos) -> None:
        self._options, self._info, self._photos = options, classifier.info, photos
        self._done = self._failed = 0
        self._has_warned = False

    def write(self) -> None:
        """Put all of it where ``--out`` says."""
        out = self._options.out
        try:
            match self._options.form:
                case "picture":
                    self._write_picture()
                case "folder":
                    self._write_folder()
                case "page":
                    from flowers_onnx.explain.page import Page  # whose imports take 40 ms

                    with open_output(out) as stream:
                        page = Page(self._info, self._options.query.lang)
                        stream.writelines(page.parts(self._watched()))
                case "lines":
                    with open_output(out) as stream:
                        for photo in self._watched():
                            result = photo if isinstance(photo, Failure) else photo.explanation
                            stream.write(to_json(result.to_record()) + "\n")
        except OSError as error:
            raise OutputError(f"can't write to {out}: {error.strerror or error}") from error

    def finish(self) -> int:
        """The exit code; what failed is counted once more where there were several photos."""
        if self._failed and self._done > 1:
            say(f"flowers: {self._failed:,} of {self._done:,} inputs failed")
        return 1 if self._failed else 0

    def _watched(self) -> Iterator[Explained | Failure]:
        """All of them; those that failed are told."""
        with Progress(wanted=visible_beside(self._options.out)) as progress:
            for photo in self._photos:
                self._done += 1
                progress.update(self._done, "explained")
                if isinstance(photo, Failure):
                    self._tell(f"{printable(photo.path)}: {photo.message} ({photo.code})")
                yield photo

    def _explained(self) -> Iterator[Explained]:
        return (photo for photo in self._watched() if isinstance(photo, Explained))

    def _write_picture(self) -> None:
        out = self._options.out
        _refuse_photo(out)
        first: Explained | None = None
        for photo in self._explained():
            if first:
                raise UsageError(
                    f"--out {out} is a picture of one photo; for several give a folder or why.html"
                )
            first = photo
        if first:
            self._draw(first, out)

    def _write_folder(self) -> None:
        written: set[str] = set()
        for photo in self._explained():
            numbers = (f".{number}" if number > 1 else "" for number in count(1))
            places = (os.path.join(self._options.out, f"{photo.name}{n}{OURS}") for n in numbers)
            path = next(place for place in places if place not in written)
            written.add(path)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                _refuse_photo(path)
                self._draw(photo, path)
            except UsageError as error:  # of this one, and of no other
                self._tell(str(error))
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise OutputError(f"can't write to {path}: {error.strerror}") from error
                self._tell(f"{printable(path)}: {error.strerror}")

    def _tell(self, text: str) -> None:
        self._failed += 1
        say(text)

    def _draw(self, photo: Explained, path: str) -> None:
        if not (self._has_warned or can_write(photo)):
            self._has_warned = True
            say("flowers: pictures have Latin letters only; a page (--out why.html) has all")
        picture = draw(photo, self._options.query.lang, len(self._info.labels))
        kind = FORMATS[os.path.splitext(path)[1].lower()]
        exif = Image.Exif()
        exif[_SOFTWARE] = _MADE_BY
        with replacing(path) as temporary:
            picture.save(temporary, kind, quality=90, exif=exif, compress_level=1)


def _refuse_photo(path: str) -> None:
    """Raise ``UsageError`` for a file that isn't a picture of ours."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with contextlib.suppress(Exception), Image.open(path) as picture:  # a bomb, or no picture
        if picture.getexif().get(_SOFTWARE) == _MADE_BY:
            return
    raise UsageError(f"{path} wasn't made by flowers explain; it won't be overwritten")


def _refuse_loop(options: Options) -> None:
    """Pictures in a folder that is explained would be explained by the next run."""
    if options.form != "folder":
        return
    target = os.path.realpath(options.out)
    for word in options.paths:
        folder = os.path.realpath(word)
        if os.path.isdir(word) and os.path.commonpath([folder, target]) == folder:
            raise UsageError(
                f"--out {options.out} is in {word}, whose photos are explained: give another folder"
            )
