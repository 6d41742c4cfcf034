"""Figures for Prometheus: requests, events, what waits. Nothing in them names a tenant, a user or a key."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one serving process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "segops_api_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "segops_api_request_seconds",
            "From the request's first byte to the answer's last.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._events = Counter(
            "segops_ingestion_events", "Events of calls that were worked on.", ["outcome"], registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. ``route`` is a pattern, so that there are only so many."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def events(self, stored: int, refused: int) -> None:
        """Events were written, or left out because they were wrong."""
        self._events.labels("stored").inc(stored)
        self._events.labels("refused").inc(refused)

    def watch_queue(self, events: Callable[[], int], size: Callable[[], int]) -> None:
        """Show what waits to be written, as it is when somebody looks."""
        for name, what, figure in (("events", "Events", events), ("bytes", "Bytes of events", size)):
            gauge = Gauge(
                f"segops_ingestion_waiting_{name}", f"{what} waiting or being written.", registry=self._registry
            )
            gauge.set_function(figure)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
