"""The bounds of the gates. They are apart from the gates, because settings need them where nothing is measured."""

from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class GateRules:
    """The bounds of the gates.

    Whoever builds the index reads `canaries` and `accept_loss`.
    """

    recall: float = Field(default=0.95, ge=0, le=1, description="The least recall@10, against exact search.")
    queries: int = Field(
        default=300, ge=1, le=100_000, description="The number of queries by which recall and latency are measured."
    )
    p95_ms: float = Field(
        default=100.0, gt=0, description="95 of 100 of these queries must take at most so many milliseconds in Redis."
    )
    loss: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="The largest share of the live build's works that a new build may lack.",
    )
    evaluation: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="How much less nDCG@10 a build may have than the live one, on the golden set, the known items or "
        "a list of your own.",
    )
    canaries: Path | None = Field(
        default=None,
        description="A TOML file of queries and the titles that they must find "
        "([the sample's](../viberary_pipeline/sample/canaries.toml)).",
    )
