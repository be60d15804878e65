"""How often: rounds over all cases, until every median is known or the time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flowers_onnx.benchmark.document import StoppedBy
from flowers_onnx.benchmark.load import CpuShare
from flowers_onnx.benchmark.samples import half_width
from flowers_onnx.benchmark.scenarios import Sample, Scenario, Subject


@dataclass(slots=True)
class Case:
    """One row of the matrix and what was measured of it."""

    scenario: str
    model: str
    subject: Subject
    measured: Scenario
    runs: list[list[Sample]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people: the scenario and what it is measured with."""
        plural = "s" if self.subject.threads > 1 else ""
        return f"{self.scenario}, {self.subject.threads} thread{plural}, {self.model}"

    def samples(self, stage: str) -> list[list[float]]:
        """The samples of one stage, run by run; empty if the system doesn't tell them."""
        if stage not in self.runs[0][0]:
            return []
        return [[sample[stage] for sample in run] for run in self.runs]


@dataclass(frozen=True, slots=True)
class Enough:
    """When to stop."""

    min_runs: int
    max_seconds: float
    precision: float


def measure(
    cases: Sequence[Case], enough: Enough, warmup: int, show: Callable[[float, str], None]
) -> tuple[StoppedBy, CpuShare]:
    """Fill the cases with runs; says what ended it.

    The cases take turns, in alternating order, so that a busy moment of the machine hits
    them alike. No round is cut short: all cases have as many runs, at least one.
    """
    began = time.perf_counter()
    share = CpuShare()
    check_at = enough.min_runs
    worst = math.inf

    def elapsed() -> float:
        return (time.perf_counter() - began) / enough.max_seconds

    for case in list(cases) * warmup:
        show(elapsed(), f"warm-up: {case.name}")
        case.measured.run()
    for number in range(1, 10**9):
        for case in cases if number % 2 else reversed(cases):
            known = "" if math.isinf(worst) else f" ±{worst:.1%}"
            show(elapsed(), f"run {number}{known}: {case.name}")
            case.runs.append(case.measured.run())
        share.probe()
        if number >= check_at:
            worst = max(half_width(case.samples("total")) for case in cases)
            if worst <= enough.precision:
                return "precision", share
            check_at = number + 1 + number // 8  # each check costs a bootstrap
        if elapsed() >= 1:
            break
    return "time", share
