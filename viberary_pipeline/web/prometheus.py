"""What Prometheus reads at /metrics. Each app has its own registry: several can share a process.

Where `PROMETHEUS_MULTIPROC_DIR` is set (gunicorn's settings do), all processes count into files of that folder, and
any of them answers with the sums.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "viberary_http_requests_total",
            "Requests answered, by route (not address, which anyone may invent) and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "viberary_http_request_seconds",
            "Time from a request's turn to its answer, by route.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.search_seconds = Histogram(
            "viberary_search_seconds",
            "Time inside the searcher per query: encoding, KNN and ranking; failed searches included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.cache = Counter(
            "viberary_cache_total",
            "Questions to the cache of answers, by whether the answer was remembered (hit) or searched (miss).",
            ["result"],
            registry=self._registry,
        )
        self.refused = Counter(
            "viberary_refused_total",
            "Requests refused unanswered: no place in the queue (queue), or beyond the client's rate (rate).",
            ["reason"],
            registry=self._registry,
        )
        self.ready = Gauge(
            "viberary_ready",
            "Whether the last /readyz said that a whole index can be searched.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        for result in ("hit", "miss"):
            self.cache.labels(result)
        for reason in ("queue", "rate"):
            self.refused.labels(reason)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        sums = CollectorRegistry()
        MultiProcessCollector(sums)
        return generate_latest(sums)
