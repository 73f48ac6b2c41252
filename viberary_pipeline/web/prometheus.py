"""What Prometheus reads at /metrics. Each app has its own registry: several can share a process."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

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
        self.search_seconds = Histogram(
            "viberary_search_seconds",
            "Time inside the searcher per query: encoding, KNN and ranking; failed searches included.",
            buckets=SECONDS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
