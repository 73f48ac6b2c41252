"""The verdict of a gate, and which gates a build must have passed. A web machine reads them."""

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


def in_words(gate: Mapping[str, Any]) -> str:
    """What a gate (`GateResult.to_json`) says, for people: "recall_at_10 passed: 99.2% of ...; at least 97.0% must"."""
    name, outcome, figure, bound = (gate[key] for key in ("name", "outcome", "figure", "bound"))
    if outcome == "not compared":
        return f"{name} not compared: {gate['means']}"
    words = _WORDS.get(name, "{figure:g} (bound {bound:g}), {means}")
    if name == EVALUATION and figure <= 0:
        words = "search quality is no worse than the live build's (nDCG@10 {gain:+.3f})"
    said = words.format(figure=figure, bound=bound, means=gate["means"], gain=0 - figure)
    if name == "documents_kept" and outcome == "passed" and figure < bound:
        said += "; fewer were accepted (VIBERARY_ACCEPT_DRIFT)"
    # Which canary, which set: what is wrong has to be named.
    named = f" [{gate['means']}]" if outcome == "failed" and name in _WORDS else ""
    return f"{name} {'passed' if outcome == 'passed' else 'FAILED'}: {said}{named}"


_WORDS = {
    "encoder_match": "queries and documents go through encoders of one space",
    "document_count": "{figure:,} of {bound:,} documents are in the index with their vectors",
    "indexing_failures": "{figure:,} documents were left out by Redis; none may",
    "documents_kept": "{figure:.1%} of the live build's documents; at least {bound:.1%} must remain",
    "vectors_match_texts": "stored vectors match their texts by {figure:.3f}; at least {bound:g} is asked",
    "recall_at_10": "{figure:.2%} of the true ten nearest are found; at least {bound:.2%} is asked",
    "full_results": "{figure:.1%} of queries get a full list; all must",
    "latency_p95_ms": "95 of 100 queries take at most {figure:.1f} ms in Redis; {bound:g} ms are allowed",
    "canaries": "{figure:g} known queries do not find their title; none may",
    EVALUATION: "nDCG@10 is {figure:.3f} below the live build's; {bound:g} is allowed",
}
