"""Loaders of one table, at every step of theirs: killed, held up, many at once, a day long.

The storage and the table are in memory, and time is what the test says.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Callable
from datetime import date
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve.traces import DAY, CrashError, JobTable, MemoryStore, Steps, day_of, row

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.serve.trace import load, manifests, objects
from flowers_onnx.serve.trace.load import Clock, TableLoader
from flowers_onnx.serve.trace.manifests import EVERY, Manifest, following, pause_behind
from flowers_onnx.serve.trace.objects import (
    ObjectName,
    ObjectSet,
    Trace,
    object_name,
    parse_name,
)
from flowers_onnx.storage.uris import uri_of

NOON = 1795608000.0  # 2026-11-25T12:00:00Z


class World:
    """A trace that grows, a table, a clock, and as many loaders as one likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = Steps()
        self.store, self.table = MemoryStore(self.steps), JobTable(self.steps)
        self.time = NOON
        self.when_time_passes: Callable[[], object] = lambda: None
        self._ids = itertools.count()
        self.written: list[str] = []
        for module in (objects, manifests):
            monkeypatch.setattr(module, "store_for", lambda _place: self.store)

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.when_time_passes()

    def loader(self, ahead: float = 0) -> TableLoader:
        """One whose clock is ``ahead`` by so many seconds."""
        clock = Clock(lambda: self.time + ahead, self.sleep)
        return TableLoader(Trace("gs://bucket/trace"), cast("Any", self.table), "table", clock)

    def serve(self, sequence: int, instance: str = "one", day: str = DAY, rows: int = 2) -> None:
        """An instance writes an object."""
        made = [row(next(self._ids)) for _ in range(rows)]
        self.written += [each["request_id"] for each in made]
        self.store.put(ObjectName(day, instance, sequence), made)

    def check(self) -> None:
        """Each row is in the table, once."""
        assert self.table.ids() == sorted(self.written)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_of_what_comes_between_loads_each_row_is_loaded_once(world: World) -> None:
    loader = world.loader()
    for number in range(5):
        world.serve(number)
        world.serve(number, "two")
        loader.load()
        loader.load()  # nothing new: no job
        world.sleep(EVERY)
    world.check()
    assert len(world.table.jobs) == 5


def test_loads_are_a_minute_apart_whoever_does_them(world: World) -> None:
    times = []
    for number in range(6):
        world.serve(number)
        world.loader(ahead=[0, 200, -30][number % 3]).load()
        times.append(world.time)
    world.check()
    assert len(world.table.jobs) == 6
    assert world.time - NOON >= 3 * EVERY
    assert all(later - time <= EVERY for time, later in itertools.pairwise(times))


def test_a_loader_that_is_killed_at_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = 0
    for step in itertools.count(1):
        world = World(monkeypatch)
        world.serve(0)
        world.loader().load()
        world.sleep(EVERY)
        world.serve(1)
        world.steps.at = dies_at(world.steps.count + step)
        try:
            world.loader().load()
        except CrashError:
            killed += 1
        world.steps.at = lambda _number: None
        world.serve(2)
        world.loader().load()
        world.check()
        if killed < step:
            break
    assert killed >= 10


def dies_at(last: int) -> Callable[[int], None]:
    def at(number: int) -> None:
        if number == last:
            raise CrashError

    return at


def test_a_loader_that_is_held_up_at_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile others load, more comes, a day passes; then it goes on where it was."""
    for step in itertools.count(1):
        world = World(monkeypatch)
        world.serve(0)
        before = world.steps.count

        def others(number: int, world: World = world, stop: int = before + step) -> None:
            if number == stop:
                world.steps.at = lambda _number: None
                for sequence in (1, 2):
                    world.loader(ahead=7).load()
                    world.serve(sequence)
                    world.sleep(EVERY)
                world.sleep(86_400)
                world.serve(3, day=day_of(world.time))
                world.loader(ahead=-7).load()
                world.serve(4, day=day_of(world.time))

        world.steps.at = others
        world.loader().load()
        world.loader().load()
        world.check()
        if world.steps.at is others:  # it had fewer steps
            break
    assert step > 10


def test_rows_that_are_forgotten_between_two_tries(world: World) -> None:
    """The second one finds other rows, and must not load them beside the first one's."""
    world.serve(0, rows=3)

    def dies_behind_the_job(_number: int) -> None:
        if world.table.jobs:
            raise CrashError

    world.steps.at = dies_behind_the_job
    with pytest.raises(CrashError):
        world.loader().load()
    (uri,) = (uri for uri in world.store.objects if "/dt=" in uri)
    world.store.objects[uri] = world.store.objects[uri].partition(b"\n")[2]
    world.steps.at = lambda _number: None
    world.loader().load()
    world.check()


def test_a_day_of_two_instances_and_a_loader(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon to noon: their clocks differ, their objects come at random, some a day late."""
    monkeypatch.setattr(objects, "_PAGE", 20)
    monkeypatch.setattr(objects, "_READERS", 1)
    dice = random.Random(1)
    sequences = {"one": itertools.count(), "two-b.3": itertools.count(7)}
    skews = {"one": 0, "two-b.3": 240}
    late: list[tuple[int, str]] = []

    def serve() -> None:
        for instance, numbers in sequences.items():
            for _ in range(dice.randrange(3)):
                number, day = next(numbers), day_of(world.time + skews[instance])
                if dice.random() < 0.01:
                    late.append((number, day))
                else:
                    world.serve(number, instance, day, rows=1)
        if late and dice.random() < 0.02:
            number, day = late.pop()
            world.serve(number, "one-late", day, rows=1)

    world.when_time_passes = serve
    loader = world.loader(ahead=11)
    while world.time < NOON + 86_400:
        loader.load()
        world.sleep(EVERY)
    world.when_time_passes = lambda: None
    loader.load()
    world.check()
    assert 1_200 < len(world.table.jobs) < 1_500
    # Each load lists what may be new, and little of what is loaded.
    assert world.store.listed < 150 * len(world.table.jobs)


def test_a_backlog_is_loaded_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LOAD_BYTES", 3_000)
    for number in range(12):
        world.serve(number % 4, day=f"2026-11-{number // 4 + 1:02}")
    world.loader().load()
    world.check()
    assert len(world.table.jobs) > 3
    assert world.time == NOON + EVERY * (len(world.table.jobs) - 1)


def test_what_comes_while_it_waits_is_in_the_same_load(world: World) -> None:
    world.serve(0)
    world.loader().load()
    world.serve(1)
    world.when_time_passes = lambda: world.serve(2)
    world.loader().load()
    world.check()
    assert len(world.table.jobs) == 2


def test_a_loader_ends_while_more_and_more_comes(world: World) -> None:
    numbers = itertools.count()
    world.serve(next(numbers))
    world.steps.at = lambda _number: world.serve(next(numbers))
    world.loader().load()
    assert len(world.table.jobs) == 1


def test_late_objects_early_ones_and_those_out_of_order(world: World) -> None:
    world.serve(5)
    world.serve(2, "two", day="2026-11-27")  # the clock of "two" is fast
    world.serve(9, "odd", day="2031-01-01")
    for number in (4, 7, 6):
        world.loader().load()
        world.serve(number)
        world.serve(number, day="2026-11-24")
        world.serve(number, "odd", day="2031-01-01")
        world.sleep(EVERY)
    world.loader().load()
    world.check()


def test_the_newest_manifest_is_all_that_is_known(world: World) -> None:
    for day in range(10, 16):
        world.serve(day, day=f"2026-11-{day}")
        world.time += 86_400
        world.loader().load()
    loads = sorted(uri for uri in world.store.objects if "/loads/" in uri)
    newest = json.loads(world.store.objects[loads[-2]])
    assert newest["load"] == 5
    assert newest["objects"] == {"2026-11-15": {"one": [[15, 15]]}}
    assert newest["since"] == "2026-11-13"
    assert list(newest["loaded"]) == ["2026-11-13", "2026-11-14", "2026-11-15"]
    for uri in loads[:-2]:
        del world.store.objects[uri]  # as a lifecycle rule does
    world.serve(16, day="2026-11-15")
    world.loader().load()
    world.check()
    del world.store.objects[loads[-2]]
    (gone,) = (uri for uri in world.store.objects if uri.endswith("6.json"))
    del world.store.objects[gone]
    with pytest.raises(OutputError, match="is gone, and with it what is in"):
        world.loader().load()


def test_names_that_must_stay(world: World) -> None:
    """An object or a load that another version of the program knows by another name is doubled."""
    place = object_name("gs://b/t/", date(2026, 11, 25), "i-1", 7)
    assert place == "gs://b/t/dt=2026-11-25/i-1-0000000007.jsonl"
    assert parse_name(place) == ("2026-11-25", "i-1", 7)
    assert parse_name(uri_of("/b c/dt=2026-11-25/i-0000000007.jsonl")) == ("2026-11-25", "i", 7)
    world.serve(0)
    world.loader().load()
    folder = "gs://bucket/trace/loads/cf6a90bb309b097f8d35f78a6f21c246"
    loads = sorted(uri for uri in world.store.objects if "/loads/" in uri)
    assert loads == [f"{folder}/00000000.json", f"{folder}/done.json"]
    made = json.loads(world.store.objects[loads[0]])
    assert made == {
        "manifest": 1,
        "load": 0,
        "id": next(iter(world.table.jobs)),
        "time": "2026-11-25T12:00:00.000Z",
        "table": "project:dataset.requests 2026",
        "objects": {DAY: {"one": [[0, 0]]}},
        "since": "2026-11-23",
        "loaded": {DAY: {"one": [[0, 0]]}},
    }
    assert json.loads(world.store.objects[loads[1]]) == {"load": 0}


def test_a_newer_servers_rows_wait_for_a_newer_loader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(0)
    world.store.put(ObjectName(DAY, "new", 0), [row(99, schema="1.2")])
    with pytest.raises(UsageError, match=r"new-0000000000\.jsonl: its rows are of schema 1\.2"):
        world.loader().load()
    assert not world.table.jobs
    monkeypatch.setattr(Trace, "_read", as_written_today(Trace._read))
    world.loader().load()
    assert len(world.table.ids()) == 3


def as_written_today(read: Any) -> Any:
    def read_it(trace: Trace, uri: str) -> tuple[str, bytes]:
        return uri, read(trace, uri)[1].replace(b'"1.2"', b'"1.1"')

    return read_it


NAMES = st.builds(
    ObjectName,
    st.sampled_from(["2026-11-24", "2026-11-25"]),
    st.sampled_from(["a", "b-1"]),
    st.integers(0, 12),
)


@given(st.lists(NAMES), st.lists(NAMES))
def test_an_object_set_is_a_set(inside: list[ObjectName], others: list[ObjectName]) -> None:
    made = ObjectSet(inside)
    assert list(made) == sorted(set(inside))
    assert len(made) == len(set(inside))
    assert [name in made for name in others] == [name in set(inside) for name in others]
    again = ObjectSet.from_json(json.loads(json.dumps(made.to_json())))
    assert list(again) == list(made)
    runs = [run for day in made.to_json().values() for runs in day.values() for run in runs]
    assert len(runs) == sum(
        name._replace(sequence=name.sequence + 1) not in made for name in set(inside)
    )
    assert list(made.since("2026-11-25")) == [name for name in made if name.day > "2026-11-24"]


@pytest.mark.parametrize("clocks", [[0], [0, 0, 0], [0, 300, -20], [-3600, 3600, 1, 2]])
def test_clocks_that_differ_don_t_make_more_loads(clocks: list[float]) -> None:
    """Each loader waits as it is told, and loads if nobody else has."""
    dice = random.Random(1)
    newest: Manifest | None = None
    one = ObjectSet([ObjectName(DAY, "a", 1)])
    loaders = [(NOON, clock, -1) for clock in clocks]  # when it looks again; what it has seen
    while loaders[0][0] < NOON + 86_400:
        time, clock, seen = heapq.heappop(loaders)
        if newest is None or seen == newest.number or not pause_behind(newest, time + clock):
            newest = following(newest, one, time + clock)
        pause = pause_behind(newest, time + clock) + dice.random()
        heapq.heappush(loaders, (time + pause, clock, newest.number))
    assert newest
    assert 1_400 < newest.number < 1_500
