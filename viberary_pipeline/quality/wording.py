"""Metrics and bounds in words, as the asset checks and Data Docs show them."""

from viberary_pipeline.quality.bounds import ExpectationSpec
from viberary_pipeline.quality.metrics import Metric


def percent_against(metric: Metric) -> float | None:
    """The rows against, in percent of those looked at; None where there are none."""
    return 100.0 * metric.against / metric.total if metric.against is not None and metric.total else None


def number_text(metric: str, value: float | None) -> str:
    """A metric's value for people: shares in percent, other numbers with separated thousands."""
    if value is None:
        return "undefined"
    return f"{value * 100:.4g}%" if metric.startswith("share_") else f"{value:,.10g}"


def observed_text(name: str, metric: Metric) -> str:
    """A metric's value for people or, where it is undefined, why."""
    return metric.undefined if metric.value is None else number_text(name, metric.value)


def expected_text(spec: ExpectationSpec) -> str:
    """A bound for people, such as "at least 50%" or "exactly 0"."""
    low, high = (spec.arguments.get(key) for key in ("min_value", "max_value"))
    if not all(isinstance(bound, int | float) for bound in (low, high) if bound is not None):
        low = high = None
    above = "more than" if spec.arguments.get("strict_min") else "at least"
    below = "less than" if spec.arguments.get("strict_max") else "at most"
    if low is not None and low == high:
        return f"exactly {number_text(spec.metric, low)}"
    parts = [
        f"{word} {number_text(spec.metric, bound)}"
        for word, bound in ((above, low), (below, high))
        if bound is not None
    ]
    if parts:
        return " and ".join(parts)
    arguments = {key: value for key, value in spec.arguments.items() if key != "column"}
    return f"{spec.expectation} {arguments}"
