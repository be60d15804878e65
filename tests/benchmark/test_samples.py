"""What samples say, how many are enough, and whether the machine was quiet."""

from __future__ import annotations

import pytest

from flowers_onnx import Classifier
from flowers_onnx.benchmark.load import CpuShare, warnings
from flowers_onnx.benchmark.rounds import Case, Enough, measure
from flowers_onnx.benchmark.samples import FEWEST_RUNS, median_interval, summary
from flowers_onnx.benchmark.scenarios import Sample, Subject
from flowers_onnx.machine import peak_rss


def test_figures_of_known_samples() -> None:
    figures = summary([[float(value)] for value in [*range(1, 100), 1000]])
    assert (figures["count"], figures["min"], figures["max"]) == (100, 1, 1000)
    assert figures["p50"] == 50.5
    assert figures["outliers"] == 1
    low, high = figures["ci95"] or (0, 0)
    assert 35 < low < 50.5 < high < 66
    assert summary([[3.0]])["stdev"] is None
    assert median_interval([[1.0]] * (FEWEST_RUNS - 1)) is None


def test_intervals_are_of_runs_and_not_of_samples() -> None:
    # Runs that agree in themselves and not with each other: a hundred samples know little.
    runs = [[1.0] * 100, [2.0] * 100, [3.0] * 100, [4.0] * 100, [5.0] * 100]
    low, high = median_interval(runs) or (0, 0)
    assert high - low >= 2


class FakeScenario:
    """Writes down when it is run."""

    not_included = "nothing"
    peak_rss: float | None = None

    def __init__(self, name: str, log: list[str]) -> None:
        self._name, self._log = name, log

    def run(self) -> list[Sample]:
        self._log.append(self._name)
        return [{"total": 1.0}]


@pytest.mark.parametrize(
    ("enough", "stopped_by", "rounds"),
    [(Enough(6, 60, 0.02), "precision", 6), (Enough(6, 1e-9, 0.02), "time", 1)],
)
def test_cases_take_turns_until_it_is_enough(
    enough: Enough, stopped_by: str, rounds: int, classifier: Classifier
) -> None:
    log: list[str] = []
    subject = Subject(classifier, "", {})
    cases = [Case("cold", name, subject, FakeScenario(name, log)) for name in "ab"]
    assert measure(cases, enough, 1, lambda _fraction, _text: None)[0] == stopped_by
    assert "".join(log) == "ab" + ("abba" * rounds)[: 2 * rounds]
    assert [len(case.runs) for case in cases] == [rounds] * 2


def test_busy_machines_are_told_from_quiet_ones() -> None:
    quiet = {"cold": [[10.0], [10.1], [10.0], [9.9], [10.0]]}
    wild = {"cold": [[10.0], [15.0], [10.0], [18.0], [7.0]]}
    assert warnings(0.1, 2, 0.99, quiet) == []
    assert warnings(None, 2, 0.99, quiet) == []
    assert warnings(1.5, 64, 0.99, quiet) == []
    (load,) = warnings(1.5, 2, 0.99, quiet)
    (share,) = warnings(0.1, 2, 0.6, quiet)
    (spread,) = warnings(0.1, 2, 0.99, wild)
    assert "load average 1.5" in load
    assert "60%" in share
    assert spread.startswith("cold: the runs differ much")


def test_cpu_share_is_low_when_others_compute() -> None:
    alone = CpuShare()
    assert alone.share == 1
    alone.probe()
    assert 0 < alone.share <= 1


def test_peak_memory_is_in_mebibytes() -> None:
    peak = peak_rss()
    assert peak is not None
    assert 20 < peak < 4000
