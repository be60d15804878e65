"""Bounded work: what waits, what doesn't, and what is given back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from support import PATIENCE, posix

from flowers_onnx.concurrency import Budget, End, map_ordered, source_thread


def in_thread(*work: object) -> list[threading.Thread]:
    threads = [threading.Thread(target=each, daemon=True) for each in work]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    return threads


def test_a_budget_is_kept_and_what_is_larger_goes_alone() -> None:
    budget = Budget(10)
    assert budget.try_take(6)
    assert not budget.try_take(5)
    assert budget.try_take(4)
    budget.give_back(6)
    budget.give_back(4)
    with budget.reserve(99):
        assert not budget.try_take(1)
    assert budget.try_take(1)


def test_who_waits_for_a_budget_goes_on_when_it_is_given_back() -> None:
    budget = Budget(10)
    budget.take(8)
    waiting = in_thread(lambda: budget.take(3), lambda: budget.take(7))
    assert all(thread.is_alive() for thread in waiting)
    budget.give_back(8)
    for thread in waiting:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in waiting)
    assert not budget.try_take(1)


def test_what_is_large_does_not_starve_among_the_small() -> None:
    budget = Budget(10)
    budget.take(5)
    (large,) = in_thread(lambda: budget.take(10))
    while budget.try_take(1):  # until the large one waits
        budget.give_back(1)
    small = in_thread(*[lambda: budget.take(5)] * 3)
    budget.give_back(5)
    large.join(PATIENCE)
    assert not large.is_alive()
    assert all(thread.is_alive() for thread in small)
    budget.give_back(10)
    for thread in small[:2]:
        thread.join(0.01)
    budget.give_back(5)
    for thread in small:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_an_error_in_a_block_gives_the_budget_back() -> None:
    budget = Budget(10)
    with pytest.raises(ValueError, match="photo"), budget.reserve(10):
        raise ValueError("photo")
    assert budget.try_take(10)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_few_sources_are_taken_ahead(threads: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = map_ordered(lambda n: n * n, endless(), threads=threads, ahead=5, name="t")
    for number in range(50):
        assert next(results) == number * number
        assert len(taken) <= number + 1 + 5
    results.close()  # type: ignore[attr-defined]


def test_errors_of_work_are_raised_in_their_place() -> None:
    results = map_ordered(lambda n: 2 // (n - 2), [1, 2, 3], threads=2, ahead=4, name="t")
    assert next(results) == -2
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_sources_are_taken_by_a_thread_as_far_as_is_wanted() -> None:
    taken: list[int | End] = []
    arrived = threading.Semaphore(0)

    def put(source: int | End) -> None:
        taken.append(source)
        arrived.release()

    with source_thread(iter(range(5)), ahead=2, put=put, name="t") as go_on:
        for count in (2, 3, 4, 5):
            assert arrived.acquire(timeout=PATIENCE)
            while len(taken) < count:
                assert arrived.acquire(timeout=PATIENCE)
            assert taken == list(range(count))
            go_on()
        while not isinstance(taken[-1], End):
            assert arrived.acquire(timeout=PATIENCE)
        assert taken[-1].error is None


def test_sources_are_taken_by_who_asks_where_there_are_no_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    taken: list[int | End] = []
    with source_thread(iter(range(4)), ahead=2, put=taken.append, name="t") as go_on:
        for count in (2, 3, 4):
            assert taken == list(range(count))
            go_on()
        go_on()
    assert taken == [0, 1, 2, 3, End(None)]


def test_an_error_of_sources_ends_them() -> None:
    def sources() -> Iterator[int]:
        yield 1
        raise LookupError("no second one")

    taken: SimpleQueue[int | End] = SimpleQueue()
    with source_thread(sources(), ahead=9, put=taken.put, name="t"):
        assert taken.get(timeout=PATIENCE) == 1
        end = taken.get(timeout=PATIENCE)
    assert isinstance(end, End)
    assert isinstance(end.error, LookupError)


def test_what_has_not_begun_never_begins_when_the_caller_stops() -> None:
    gate, done = threading.Event(), []

    def work(number: int) -> int:
        if number:
            assert gate.wait(PATIENCE)
        done.append(number)
        return number

    results = map_ordered(work, range(100), threads=1, ahead=8, name="flowers-stopping")
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("flowers-stopping"):
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert len(done) <= 2


FORK = """
import os, threading, time
from flowers_onnx.forks import ForkGate

gate, begun, done = ForkGate(), threading.Event(), []

def work():
    with gate:
        begun.set()
        time.sleep(0.2)
        done.append("done")

threading.Thread(target=work).start()
begun.wait()
if not (child := os.fork()):
    with gate:
        os._exit(0 if done else 7)
with gate:
    print(os.waitpid(child, 0)[1], len(done))
"""


@posix
def test_a_fork_waits_for_work() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], stdout=-1, timeout=PATIENCE, check=True)
    assert done.stdout == b"0 1\n"


@pytest.mark.parametrize("granted", [0, 1])
def test_work_is_done_by_as_many_threads_as_there_are(
    granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def scarce(thread: threading.Thread) -> None:
        if len(started) == granted:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    done = list[int]()

    def work(number: int) -> str:
        done.append(number)
        if number == 7:
            raise ValueError(number)
        return str(number)

    results = map_ordered(work, iter(range(20)), threads=4, ahead=3, name="flowers-scarce")
    assert [next(results) for _ in range(7)] == list("0123456")
    with pytest.raises(ValueError, match="7"):
        next(results)
    assert sorted(done) == sorted(set(done))
    assert len(started) == granted


def test_a_program_that_ends_hangs_on_nothing() -> None:
    """Other threads' work can't begin any more; that is told, and not waited for."""
    code = """
import threading, time
from flowers_onnx.concurrency import map_ordered

def work(number):
    time.sleep(0.02)
    return number

def use():
    try:
        for _ in map_ordered(work, range(500), threads=2, ahead=4, name="work"):
            pass
    except RuntimeError as error:
        print(error)

threading.Thread(target=use).start()
time.sleep(0.3)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert "shutdown" in done.stdout
