"""Metrics of a running service for Prometheus, at `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

router = APIRouter(include_in_schema=False)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Watched(Protocol):
    """What is read when somebody asks, instead of being counted along the way."""

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Present values: name to (what it is, value)."""

    def counts(self) -> dict[str, tuple[str, float]]:
        """Values that only grow: name to (what it is, value)."""


class Metrics:
    """One service's figures. Labels are route templates, methods, statuses and models: few, and none from a visitor."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lfi_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "lfi_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge("lfi_requests_in_progress", "Requests being answered.", registry=self.registry)
        self.inference = Histogram(
            "lfi_inference_seconds",
            "Time one model took for one question; of a cached image, what it took when it was new is included.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter("lfi_refused", "Requests refused at the door.", ("reason",), registry=self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def watch(self, watched: Watched) -> None:
        """Read these as well on every scrape."""
        self.registry.register(_Reader(watched))


class _Reader(Collector):
    def __init__(self, watched: Watched):
        self.watched = watched

    def collect(self) -> Iterator[Metric]:
        for name, (about, value) in self.watched.gauges().items():
            yield GaugeMetricFamily(name, about, value)
        for name, (about, value) in self.watched.counts().items():
            yield CounterMetricFamily(name, about, value)


@router.get("/metrics")
def expose(request: Request) -> Response:
    """All of them, in the text format of Prometheus or OpenMetrics, by the request's `Accept`."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.metrics.registry), headers={"Content-Type": media_type})
