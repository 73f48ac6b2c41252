"""The bounds of the gates. They are apart from the gates, because settings need them where nothing is measured."""

from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class GateRules:
    """The bounds of the gates.

    Whoever builds the index reads `canaries` and `accept_loss`.
    """

    recall: float = Field(default=0.95, ge=0, le=1, description="Least recall@10 against exact search.")
    queries: int = Field(
        default=300, ge=1, le=100_000, description="How many queries recall and latency are measured over."
    )
    p95_ms: float = Field(
        default=100.0, gt=0, description="Most milliseconds that 95 of 100 of these queries may take in Redis."
    )
    loss: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of the live build's works that a new build may lack.",
    )
    evaluation: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="nDCG@10 that a build may lose against the live one, in the golden set or the known items.",
    )
    canaries: Path | None = Field(
        default=None,
        description="A TOML file of queries and the titles that they must find "
        "([the sample's](../viberary_pipeline/sample/canaries.toml)).",
    )
