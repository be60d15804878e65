"""The form of a result, one JSON document; ``docs/benchmark.md`` describes it.

What is declared here is what is written, in this order. A later version may read it back, so a
minor step of ``SCHEMA`` (1.1) adds fields, and a major step (2.0) changes or removes some.
"""

from __future__ import annotations

from typing import Literal, TypedDict, get_args

from flowers_onnx.environment import MachineFacts

KIND = "flowers-onnx benchmark"
SCHEMA = "1.0"

#: The stages of a photo, in the order in which they happen.
STAGES = (
    "start",
    "arguments",
    "imports",
    "load",
    "read",
    "decode",
    "preprocess",
    "inference",
    "postprocess",
    "output",
    "exit",
)

#: What ended the measuring: every median is known, or the time was up.
StoppedBy = Literal["precision", "time"]

Quantile = Literal["p50", "p90", "p99"]
#: Those that people are shown.
QUANTILES: tuple[Quantile, ...] = get_args(Quantile)


class Settings(TypedDict):
    """When it was to end; ``precision`` is a fraction of the median."""

    min_runs: int
    max_seconds: float
    precision: float
    warmup: int


class LoadAverage(TypedDict):
    """Programs that wanted a CPU; None where the system doesn't say."""

    start: float | None
    end: float | None


class Environment(MachineFacts):
    """Where it was measured, and how busy it was there; ``cpu_share`` is 0 to 1."""

    load_average: LoadAverage
    cpu_share: float


class Photos(TypedDict):
    """What was measured with; ``sha256`` is that of the files' own SHA-256 in order."""

    source: str
    count: int
    bytes: int
    sha256: str


class Model(TypedDict):
    """A model file, without its folder."""

    name: str
    file: str
    sha256: str


class Summary(TypedDict):
    """The figures of one quantity, in ms; ``ci95`` is the 95 % interval of the median ``p50``."""

    count: int
    mean: float
    stdev: float | None
    min: float
    p25: float
    p50: float
    p75: float
    p90: float
    p99: float
    max: float
    ci95: list[float] | None
    outliers: int


class RowComparison(TypedDict):
    """New to old: the ratio of the medians, and its 95 % interval."""

    ratio: float
    ci95: list[float] | None
    slower: bool
    old_model: str


class Row(TypedDict):
    """One scenario, model and number of threads.

    ``ms`` and ``samples`` go by stage, with ``total`` and, where it is known, ``cpu``;
    ``samples`` has a list a run. ``first_ms`` has loading the model and its first photo.
    """

    scenario: str
    model: Model
    threads: int
    runs: int
    ms: dict[str, Summary]
    photos_per_second: float | None
    first_ms: dict[str, float]
    peak_rss_mib: float | None
    not_included: str
    samples: dict[str, list[list[float]]]
    comparison: RowComparison | None


class Comparison(TypedDict):
    """The earlier result, and what may explain a ratio beside the program."""

    old: str
    old_date: str
    fail_above: float
    slower: bool
    caveats: list[str]


class Document(TypedDict):
    """Everything that was found, and all that is needed to find it again."""

    kind: str
    schema: str
    program: str
    date: str
    settings: Settings
    environment: Environment
    photos: Photos
    stopped_by: StoppedBy
    rows: list[Row]
    warnings: list[str]
    comparison: Comparison | None
