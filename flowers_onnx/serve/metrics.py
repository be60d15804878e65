"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    exposition,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowers_onnx.machine import peak_rss
from flowers_onnx.results import Failure, Prediction
from flowers_onnx.serve.exchange import Classified, Exchange

MEDIA_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: Figures by name, without ``flowers_``; one that ends in ``_total`` is a counter.
Gauges = Callable[[], dict[str, float]]


class Metrics:
    """Counters of requests and photos, and figures that are read when somebody asks."""

    def __init__(self, gauges: Gauges) -> None:
        # It would add a gauge to each counter that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._registry.register(_Gauges(gauges))
        self._series: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "flowers_requests", "Requests", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "flowers_request_seconds",
            "From the header to the answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._queue = Histogram(
            "flowers_queue_seconds",
            "From the body to a slot",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._inference = Histogram(
            "flowers_photo_seconds",
            "Reading, decoding and classifying a photo",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._photos = Counter(
            "flowers_photos", "Photos, by error code", ["code"], registry=self._registry
        )

    def request(self, exchange: Exchange) -> None:
        """Count a request that has its answer."""
        key = exchange.route, exchange.status
        series = self._series.get(key)
        if series is None:  # to look them up takes longer than to count
            count = self._requests.labels(exchange.route, str(exchange.status))
            series = self._series[key] = count, self._seconds.labels(exchange.route)
        count, seconds = series
        count.inc()
        seconds.observe(exchange.seconds)

    def photo(self, photo: Classified) -> None:
        """Count a photo that was in a slot."""
        result = photo.result
        self._queue.observe(photo.queued)
        if isinstance(result, Prediction):
            self._inference.observe(result.timing.total / 1e3)
        self._photos.labels(result.code if isinstance(result, Failure) else "").inc()

    def text(self) -> bytes:
        """All of it in the text format."""
        return exposition.generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        values = self._gauges()
        if (peak := peak_rss()) is not None:
            values["peak_memory_bytes"] = peak * (1 << 20)
        for name, value in values.items():
            told, help_text = f"flowers_{name}", name.replace("_", " ")
            if name.endswith("_total"):
                yield CounterMetricFamily(told, help_text, value)
            else:
                yield GaugeMetricFamily(told, help_text, value)
