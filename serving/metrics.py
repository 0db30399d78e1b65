"""Metrics of a server, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .scheduler.model import ServedModel
from .scheduler.observer import GroupReport

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class Metrics:
    """Counters and histograms of one server. Labels come from its own routes and models, never from clients."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("qserve_requests", "Requests", ["route", "status"], registry=registry)
        self._latency = Histogram(
            "qserve_request_seconds", "Time of requests", ["route"], registry=registry, buckets=_SECONDS
        )
        self._refusals = Counter("qserve_refusals", "Refused or failed requests", ["reason"], registry=registry)
        self._stages = Histogram(
            "qserve_stage_seconds", "Time of stages", ["model", "stage"], registry=registry, buckets=_SECONDS
        )
        self._windows = Histogram(
            "qserve_batch_windows", "Windows of one batch", ["model"], registry=registry, buckets=_WINDOWS
        )
        self._audio = Counter("qserve_audio_seconds", "Audio transcribed", ["model"], registry=registry)
        self._padded = Counter("qserve_padded_seconds", "Audio computed, with padding", ["model"], registry=registry)
        self._engine = Counter("qserve_engine_seconds", "Time of the engine", ["model"], registry=registry)
        self._lost = Counter("qserve_lost_workers", "Engines that hung or died", ["model", "reason"], registry=registry)

    def watch(self, models: Callable[[], Iterable[ServedModel]]) -> None:
        """Report the queues of ``models`` at every scrape."""
        self._registry.register(_Queues(models))

    def of(self, model: str) -> ModelMetrics:
        """The observer of one model."""
        return ModelMetrics(self, model)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a refused or failed request."""
        self._refusals.labels(reason).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class ModelMetrics:
    """Reports of one model's scheduler; see ``Observer``."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model

    def group(self, report: GroupReport) -> None:
        """See ``Observer.group``."""
        metrics = self._metrics
        metrics._windows.labels(self._model).observe(report.windows)
        metrics._audio.labels(self._model).inc(report.audio_seconds)
        metrics._padded.labels(self._model).inc(report.padded_seconds)
        metrics._engine.labels(self._model).inc(report.engine_seconds)
        self.stage("engine", report.engine_seconds)

    def stage(self, name: str, seconds: float) -> None:
        """See ``Observer.stage``."""
        self._metrics._stages.labels(self._model, name).observe(seconds)

    def lost(self, reason: str) -> None:
        """See ``Observer.lost``."""
        self._metrics._lost.labels(self._model, reason).inc()


class _Queues(Collector):
    def __init__(self, models: Callable[[], Iterable[ServedModel]]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        gauges = {
            name: GaugeMetricFamily(f"qserve_{name}", text, labels=["model"])
            for name, text in (
                ("queue_seconds", "Audio that waits for the engine"),
                ("admitted_seconds", "Audio that is admitted and not transcribed"),
                ("admitted_requests", "Requests that are admitted"),
                ("predicted_wait_seconds", "Wait of a request that arrives now"),
                ("rtfx", "Seconds of audio per second of the engine, lately"),
                ("ready", "Whether the engine makes progress"),
            )
        }
        for model in self._models():
            gauges["queue_seconds"].add_metric([model.name], model.waiting_seconds)
            gauges["admitted_seconds"].add_metric([model.name], model.admission.seconds)
            gauges["admitted_requests"].add_metric([model.name], model.admission.requests)
            gauges["predicted_wait_seconds"].add_metric([model.name], model.admission.predicted_wait())
            gauges["rtfx"].add_metric([model.name], model.rate)
            gauges["ready"].add_metric([model.name], float(model.is_ready))
        yield from gauges.values()
