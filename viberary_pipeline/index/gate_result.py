"""What a gate says, and which gates a build must have met. A web machine, which cannot measure them, reads them too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

Outcome = Literal["passed", "failed", "not compared"]

INDEX_GATES = (
    "encoder_match",
    "document_count",
    "indexing_failures",
    "documents_kept",
    "vectors_match_texts",
    "recall_at_10",
    "full_results",
    "latency_p95_ms",
    "canaries",
)
EVALUATION = "evaluation"
REQUIRED_GATES = (*INDEX_GATES, EVALUATION)
"""The gates without whose verdict no build is published: `unmet_gates`."""


@dataclass(frozen=True)
class GateResult:
    """One gate: what was measured and what was asked for.

    Attributes:
        name: Constant; the Dagster check has the same.
        outcome: 'failed' stops the publish. 'not compared' does not: there was nothing to compare with.
        figure: What was measured; None where nothing was compared.
        bound: What it is compared with.
        means: The comparison in words, or why there was none.
    """

    name: str
    outcome: Outcome
    figure: float | None
    bound: float
    means: str

    @classmethod
    def judged(cls, name: str, passed: bool, figure: float, bound: float, means: str) -> Self:
        """A gate that compared something."""
        return cls(name, "passed" if passed else "failed", figure, bound, means)

    @classmethod
    def not_compared(cls, name: str, bound: float, why: str) -> Self:
        """A gate that had nothing to compare with."""
        return cls(name, "not compared", None, bound, why)

    @property
    def passed(self) -> bool | None:
        """None where nothing was compared."""
        return None if self.outcome == "not compared" else self.outcome == "passed"

    @property
    def failed(self) -> bool:
        """Whether it stops the publish."""
        return self.outcome == "failed"

    @classmethod
    def from_json(cls, gate: Mapping[str, Any]) -> Self:
        """The gate whose `to_json` this is."""
        return cls(**{name: value for name, value in gate.items() if name != "passed"})

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, with `passed` (null where nothing was compared)."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "passed": self.passed,
            "figure": self.figure,
            "bound": self.bound,
            "means": self.means,
        }


def unmet_gates(
    gates: Iterable[Mapping[str, Any]], required: Sequence[str] = REQUIRED_GATES
) -> tuple[list[str], list[str]]:
    """The gates that failed, and the required ones that left no verdict; a build is published only without either."""
    outcomes = {str(gate["name"]): gate.get("outcome") for gate in gates}
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    return failed, [name for name in required if outcomes.get(name) not in ("passed", "not compared", "failed")]
