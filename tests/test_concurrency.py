"""Bounded work: what waits, what doesn't, and what is given back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from support import PATIENCE

from flowers_onnx import Classifier
from flowers_onnx.concurrency import Budget, GroupSync, map_ordered, map_promptly

#: ``map_ordered`` or ``map_promptly``.
Mapping = Callable[..., Iterator[int]]


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


@pytest.mark.parametrize("mapping", [map_ordered, map_promptly])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_few_sources_are_taken_ahead(
    threads: int, mapping: Mapping
) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = mapping(lambda n: n * n, endless(), threads=threads, ahead=5, name="t")
    for number in range(50):
        assert next(results) == number * number
        assert len(taken) <= number + 1 + 5
    results.close()  # type: ignore[attr-defined]


def test_a_ready_result_does_not_wait_for_a_slow_source(classifier: Classifier) -> None:
    asked_for_more = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b""
        yield b"text"
        assert asked_for_more.wait(PATIENCE), "both results waited for the third source"
        yield b""

    results = classifier.results(slow())
    assert [next(results).to_record()["error"] for _ in range(2)] == [
        {"code": "is_empty", "message": "the file is empty"},
        {"code": "not_an_image", "message": "not an image, or of an unknown format"},
    ]
    asked_for_more.set()
    assert not next(results).ok


def test_errors_are_raised_in_their_place() -> None:
    def sources() -> Iterator[int]:
        yield from (1, 2)
        raise LookupError("no third one")

    for mapping in (map_ordered, map_promptly):
        results = mapping(lambda n: 2 // (n - 1), [1, 2], threads=2, ahead=4, name="t")
        with pytest.raises(ZeroDivisionError):
            next(results)
        with pytest.raises(LookupError, match="no third one"):
            list(mapping(lambda n: n, sources(), threads=2, ahead=4, name="t"))
        with pytest.raises(TypeError, match="not iterable"):
            list(mapping(str, 5, threads=2, ahead=4, name="t"))  # type: ignore[arg-type]
    results = map_promptly(lambda n: n, sources(), threads=2, ahead=4, name="t")
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(LookupError, match="no third one"):
        next(results)


@pytest.mark.parametrize("mapping", [map_ordered, map_promptly])
def test_what_has_not_begun_never_begins_when_the_caller_stops(mapping: Mapping) -> None:
    gate, done = threading.Event(), []

    def work(number: int) -> int:
        if number:
            assert gate.wait(PATIENCE)
        done.append(number)
        return number

    results = mapping(work, range(100), threads=1, ahead=8, name="flowers-stopping")
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("flowers-stopping"):
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert len(done) <= 2


def test_one_flush_serves_all_who_wait() -> None:
    first_began, go_on = threading.Event(), threading.Event()
    flushes = []

    def flush() -> None:
        flushes.append(1)
        first_began.set()
        assert go_on.wait(PATIENCE)

    sync = GroupSync(flush)
    threads = in_thread(sync.wait)
    assert first_began.wait(PATIENCE)
    threads += in_thread(*[sync.wait] * 20)
    while sync._asked < 21:  # all have asked while the first flush was under way
        pass
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert len(flushes) == 2


def test_after_a_failed_flush_nothing_is_promised() -> None:
    failures = iter([OSError("disk")])

    def flush() -> None:
        for failure in failures:
            raise failure

    sync = GroupSync(flush)
    for _ in range(2):
        with pytest.raises(OSError, match="disk"):
            sync.wait()
