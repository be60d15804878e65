"""``flowers trace forget``: what is kept of some requests or photos, deleted.

What leads to the rest goes last, so that a run that was cut off is run again: answers, photos, the
trace's rows, then those of a table, which are found by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowers_onnx.errors import OutputError
from flowers_onnx.serve.trace.manifests import unfinished
from flowers_onnx.serve.trace.objects import Trace, parse_name
from flowers_onnx.serve.trace.options import ForgetOptions
from flowers_onnx.serve.trace.row import REQUESTS
from flowers_onnx.serve.trace.search import Found, Wanted, find, holding, read_all
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import is_table
from flowers_onnx.tables import check_place, sink_for


def run(options: ForgetOptions) -> int:
    """Delete, or with ``dry_run`` say what would be deleted; 1 if nothing was found.

    Raises ``UsageError`` for an id that is none, ``OutputError`` while rows that are to go are
    being loaded into a table, ``StorageError``.
    """
    wanted = Wanted.of(options.ids)
    if options.to:
        check_place(options.to)
    trace = Trace(options.trace)
    wanted, found = find(trace, wanted)
    _refuse_loads(trace, found)
    steps: list[Callable[[], int]] = [
        lambda: _forget_answers(trace, wanted, found, dry_run=options.dry_run),
        lambda: _forget_photos(options, wanted, found),
        lambda: _forget_rows(trace, wanted, found, dry_run=options.dry_run),
        lambda: _forget_in_table(options, trace, wanted, found),
    ]
    count = sum(step() for step in steps)
    for word in sorted((wanted.requests | wanted.photos) - found.words):
        print(f"{word}: no row in {options.trace}")
    return 0 if count else 1


def _refuse_loads(trace: Trace, found: Found) -> None:
    """Raise if rows that are to go are on their way to a table: they would come there all the same.

    One that begins later sees none of them.
    """
    for manifest in unfinished(trace.place):
        names = filter(None, map(parse_name, found.objects))
        if any(name in manifest.objects for name in names):
            raise OutputError(
                f"these rows are being loaded, or were when the loader was stopped: let flowers "
                f"trace load {trace.place} end, then run this command again"
            )


def _forget_answers(trace: Trace, wanted: Wanted, found: Found, *, dry_run: bool) -> int:
    """Answers that an Idempotency-Key would bring again, and the claims beside them."""
    place = f"{trace.place}/idempotency/"
    store = store_for(place)
    words = wanted.requests | wanted.photos | found.words | found.photos.keys()
    uris = (item.uri for item in store.scan(place) if item.uri.endswith("/answer"))
    count = 0
    for uri, _ in read_all(uris, holding(words.difference(_kept_by_others(found)))):
        count += 1
        if not dry_run:
            # The answer last: it is what a run that was cut off finds again.
            for each in (*store.names(uri.removesuffix("answer")), uri):
                if each != uri:
                    store.delete(each)
            store.delete(uri)
    if count:
        print(f"{_many(count, 'remembered answer')}: {_done(dry_run)}")
    return count


def _kept_by_others(found: Found) -> Iterator[str]:
    return (photo for photo in found.photos if found.others[photo])


def _forget_photos(options: ForgetOptions, wanted: Wanted, found: Found) -> int:
    count = 0
    for photo in sorted(found.photos.keys() | wanted.photos):
        if others := found.others[photo]:
            print(f"photo {photo}: stays, {_many(others, 'row')} of other requests have it")
            continue
        for place in sorted(_places(photo, options.keep, found)):
            count += 1
            print(f"photo {place}: {_done(options.dry_run)}")
            if not options.dry_run:
                store_for(place).delete(place)
    return count


def _places(photo: str, keep: str | None, found: Found) -> set[str]:
    """Where the photo is: in ``keep``, or else where its rows say."""
    prefixes = {f"{keep.rstrip('/')}/{photo}."} if keep else found.photos.get(photo, set())
    return {place for prefix in prefixes for place in store_for(prefix).names(prefix)}


def _forget_rows(trace: Trace, wanted: Wanted, found: Found, *, dry_run: bool) -> int:
    """An object without any rows left stays, empty: its server would make a lost one again."""
    pattern = holding(wanted.requests | wanted.photos)
    for uri in found.objects if not dry_run else ():
        content = store_for(uri).download(uri)
        if content is not None:
            lines = content.split(b"\n")
            left = [one for one in lines if not (pattern.search(one) and wanted.takes_line(one))]
            store_for(uri).write(uri, b"\n".join(left))
    count = sum(found.objects.values())
    if count:
        objects = _many(len(found.objects), "object")
        print(f"{_many(count, 'row')} in {objects} of {trace.place}: {_done(dry_run)}")
    return count


def _forget_in_table(options: ForgetOptions, trace: Trace, wanted: Wanted, found: Found) -> int:
    if not options.to:
        return 0
    if not options.dry_run:
        _refuse_loads(trace, found)  # that began before the rows were gone
    count = _erase(options.to, wanted, dry_run=options.dry_run)
    if count:
        print(f"{_many(count, 'row')} of {options.to}: {_done(options.dry_run)}")
    return count


def _erase(place: str, wanted: Wanted, *, dry_run: bool) -> int:
    if is_table(place):
        from flowers_onnx.tables.bigquery_erasure import ErasableTable

        names = dict.fromkeys(("request_id", "replay_of"), wanted.requests)
        names |= dict.fromkeys(("sha256", "kept_sha256"), wanted.photos)
        return ErasableTable(place, REQUESTS).erase(names, dry_run=dry_run)
    sink = sink_for(place, REQUESTS)
    try:
        count = sum(map(wanted.takes, sink.existing()))
        if count and not dry_run:
            sink.publish(row for row in sink.existing() if not wanted.takes(row))
    finally:
        sink.close()
    return count


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _done(dry_run: bool) -> str:  # noqa: FBT001
    return "would be deleted" if dry_run else "deleted"
