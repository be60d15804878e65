"""The rows of a batch through crashes at any moment, without the cost of processes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Row, make_row

from flowers_onnx.batch.output import Output
from flowers_onnx.errors import UsageError
from flowers_onnx.results import Failure
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.schema import AnyRow


class CrashError(Exception):
    """The process ends here."""


class MemorySink:
    """Rows in memory, replaced or appended, with a crash before or after publishing."""

    def __init__(self, *, appends: bool) -> None:
        self.appends = appends
        self.stored: list[Row] = []
        self.loads: list[list[Row]] = []
        self.crash = ""

    def existing(self) -> Iterator[Row]:
        return iter(list(self.stored))

    def sample(self) -> Iterator[Row]:
        return self.existing()

    def publish(self, rows: Iterable[AnyRow]) -> None:
        found = [{**row} for row in rows]
        if self.crash == "before":
            raise CrashError
        if not self.appends:
            self.stored = found
        elif found not in self.loads:  # a load is known by its content
            self.loads.append(found)
            self.stored += found
        if self.crash == "after":
            raise CrashError

    def close(self) -> None:
        pass


def row(item: Item, run: int) -> dict[str, Any]:
    failure = Failure("corrupt", "é\n", None, None, "m")
    return make_row(item, failure, f"run{run}", "2026-01-01T00:00:00Z")


STEPS = st.lists(
    st.tuples(
        st.integers(0, 6),  # images that are done before what happens next
        st.sampled_from(["kill", "tear", "before", "after", "publish"]),
        st.integers(1, 200),  # bytes of the journal that a torn write loses
    ),
    max_size=6,
)


@given(appends=st.booleans(), steps=STEPS)
def test_each_image_once_whatever_happens(appends: bool, steps: list[tuple[int, str, int]]) -> None:
    sink = MemorySink(appends=appends)
    items = [Item(f"gs://b/{number}", str(number)) for number in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "j"
        for run, (count, event, lost) in enumerate([*steps, (len(items), "publish", 0)]):
            sink.crash = event
            try:
                with Output(sink, str(journal), by_version=True, retry_errors=False) as output:
                    for item in [item for item in items if output.claim(item)][:count]:
                        output.add(row(item, run))
                    if event == "tear":
                        raise CrashError
                    if event != "kill":
                        output.publish()
            except CrashError:
                pass
            if event == "tear" and journal.exists():
                content = journal.read_bytes()
                journal.write_bytes(content[: max(0, len(content) - lost)])
            assert len({r["source_uri"] for r in sink.stored}) == len(sink.stored)
        assert sorted(r["source_uri"] for r in sink.stored) == [item.uri for item in items]
        assert not journal.exists()


@pytest.mark.parametrize("appends", [False, True])
def test_a_retried_error_gives_way_to_the_new_row(tmp_path: Path, appends: bool) -> None:
    sink = MemorySink(appends=appends)
    item, journal = Item("gs://b/1", "1"), str(tmp_path / "j")
    for run in range(3):
        with Output(sink, journal, by_version=True, retry_errors=run > 0) as output:
            assert output.claim(item)
            output.add(row(item, run))
            output.publish()
    assert [r["run_id"] for r in sink.stored] == (["run0", "run1", "run2"] if appends else ["run2"])


@pytest.mark.parametrize("killed", [1, 2, 3])
@pytest.mark.parametrize("retry_at_last", [False, True])
def test_of_many_tries_that_were_killed_the_last_row_stays(
    tmp_path: Path, killed: int, retry_at_last: bool
) -> None:
    """The journal has a row of each try, all of them with the key of the published one."""
    sink, journal = MemorySink(appends=False), str(tmp_path / "j")
    items = [Item(f"gs://b/{number}", "1") for number in range(3)]
    with Output(sink, journal, by_version=True, retry_errors=False) as output:
        for item in items:
            assert output.claim(item)
            output.add(row(item, 0))
        output.publish()
    for run in range(1, killed + 1):
        with Output(sink, journal, by_version=True, retry_errors=True) as output:
            assert output.claim(items[1])
            output.add(row(items[1], run))
    with Output(sink, journal, by_version=True, retry_errors=retry_at_last) as output:
        assert output.unfinished == killed
        output.publish()
        assert output.unfinished == 0
    last = f"run{killed}"
    assert [(r["source_uri"], r["run_id"]) for r in sink.stored] == [
        ("gs://b/0", "run0"),
        ("gs://b/2", "run0"),
        ("gs://b/1", last),
    ]
    assert output.published.images == 1


def test_a_photo_that_was_repaired_replaces_its_error(tmp_path: Path) -> None:
    sink, journal = MemorySink(appends=False), str(tmp_path / "j")
    for version in ("1", "2"):
        with Output(sink, journal, by_version=True, retry_errors=True) as output:
            item = Item("gs://b/1", version)
            assert output.claim(item)
            output.add(row(item, int(version)))
            output.publish()
    assert [r["source_version"] for r in sink.stored] == ["2"]


def test_what_was_published_stays_whatever_is_listed_now(tmp_path: Path) -> None:
    sink, journal = MemorySink(appends=False), str(tmp_path / "j")
    for by_version, items in ((True, "12"), (False, "13")):
        with Output(sink, journal, by_version=by_version, retry_errors=False) as output:
            for item in (Item(f"gs://b/{n if n == '3' else 0}", n) for n in items):
                if output.claim(item):
                    output.add(row(item, 0))
            output.publish()
    assert [r["source_version"] for r in sink.stored] == ["1", "2", "3"]


def test_an_error_of_the_storage_is_tried_again(tmp_path: Path) -> None:
    sink, journal = MemorySink(appends=False), str(tmp_path / "j")
    item = Item("gs://b/1", "1")
    failed = row(item, 0)
    failed["error"]["code"] = "read_error"
    for new in (failed, row(item, 1)):
        with Output(sink, journal, by_version=True, retry_errors=False) as output:
            assert output.claim(item)
            output.add(new)
            output.publish()
    assert [r["run_id"] for r in sink.stored] == ["run1"]


def test_versions_matter_only_where_they_are_known(tmp_path: Path) -> None:
    sink = MemorySink(appends=False)
    old, new = Item("gs://b/1", "1"), Item("gs://b/1", "2")
    with Output(sink, str(tmp_path / "j"), by_version=True, retry_errors=False) as output:
        assert output.claim(old)
        assert not output.claim(old)
        assert output.claim(new)
    with Output(sink, str(tmp_path / "k"), by_version=False, retry_errors=False) as output:
        assert output.claim(old)
        assert not output.claim(new)
        assert output.claim(Item("gs://b/1", "1", id="other"))


def test_a_foreign_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    with pytest.raises(UsageError, match="not a journal"):
        Output(MemorySink(appends=False), str(path), by_version=True, retry_errors=False)
    assert path.read_text() == "buy milk\n"


class MemoryStore:
    """Objects in memory; ``kill_after`` more changes the process ends."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.kill_after = 10**9

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))

    def download(self, uri: str) -> bytes | None:
        return self.objects.get(uri)

    def write(self, uri: str, data: bytes) -> bool:
        self._change()
        self.objects[uri] = data
        return True

    def delete(self, uri: str) -> None:
        self._change()
        self.objects.pop(uri, None)

    def _change(self) -> None:
        if not self.kill_after:
            raise CrashError
        self.kill_after -= 1


@pytest.mark.parametrize("kill_after", range(12))
@pytest.mark.parametrize("appends", [False, True])
def test_a_journal_in_a_bucket_is_killed_at_each_step(
    monkeypatch: pytest.MonkeyPatch, appends: bool, kill_after: int
) -> None:
    sink, store = MemorySink(appends=appends), MemoryStore()
    monkeypatch.setattr("flowers_onnx.tables.journal.store_for", lambda _uri: store)
    monkeypatch.setattr("flowers_onnx.tables.journal._PART_ROWS", 2)
    items = [Item(f"gs://b/{number}", str(number)) for number in range(5)]
    store.kill_after = kill_after
    for run in range(2):
        with (
            contextlib.suppress(CrashError),
            Output(sink, "gs://b/j", by_version=True, retry_errors=False) as output,
        ):
            for item in filter(output.claim, items):
                output.add(row(item, run))
            output.publish()
        store.kill_after = 10**9
        items.append(Item("gs://b/new", "1"))  # what is listed may differ when it goes on
    assert len(sink.stored) == len({item["source_uri"] for item in sink.stored})
    assert {item.uri for item in items} == {item["source_uri"] for item in sink.stored}
    assert not store.objects


@pytest.mark.parametrize("crash", ["before", "after"])
@pytest.mark.parametrize("appends", [False, True])
@pytest.mark.parametrize("watches", [False, True])
def test_killed_while_publishing_the_latest_is_there_once(
    tmp_path: Path, crash: str, appends: bool, watches: bool
) -> None:
    """Whoever goes on: who watches, or who doesn't."""
    sink, journal = MemorySink(appends=appends), str(tmp_path / "j")

    def output(*, latest: bool) -> Output:
        return Output(sink, journal, by_version=True, retry_errors=False, latest=latest)

    def add(output: Output, version: str) -> None:
        item = Item("gs://b/1", version)
        assert output.claim(item)
        output.add(row(item, 1))

    with output(latest=True) as first:
        add(first, "1")
        first.publish(goes_on=True)
        add(first, "2")
        add(first, "3")
        sink.crash = crash
        with pytest.raises(CrashError):
            first.publish(goes_on=True)
        sink.crash = ""
    with output(latest=watches) as second:
        assert not second.claim(Item("gs://b/1", "3"))
        second.publish(goes_on=True)
        second.publish()
    expected = ["1", "3"] if appends else ["3"]
    assert [r["source_version"] for r in sink.stored] == expected
    assert not Path(journal).exists()
