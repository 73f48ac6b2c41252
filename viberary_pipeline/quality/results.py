"""Results of expectations, read from Great Expectations' own results, new or stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from viberary_pipeline.index.gate_result import Outcome
from viberary_pipeline.quality.bounds import ExpectationSpec, Severity

Badge = Literal["error", "warning", "passed", "not compared"]

BADGES: tuple[Badge, ...] = ("error", "warning", "not compared", "passed")
"""From what must be seen first."""

NAMES_OF_SOURCES = {"ucsd": "UCSD's files", "openlibrary": "Open Library", "both": "UCSD's files with Open Library"}

EXAMPLES = 5
"""Failing rows that a result names."""


@dataclass(frozen=True)
class ExpectationResult:
    """How one expectation fared.

    Args:
        name: Its name in `bounds.toml`, also the name of the asset check.
        severity: "ERROR" blocks the index, "WARN" only shows.
        outcome: "not compared" where there was nothing to look at, or no live build to compare with.
        expected: The bound in words, such as "a value in at least 50% of rows".
        observed: What was found, in words; for "not compared" the reason.
        unexpected_count: Rows that fail, even if few enough; None where rows do not.
        unexpected_percent: The same, of the rows looked at (0 to 100).
        examples: Some of those rows, as texts such as "book 42: 5.01".
        reason: Why the data should be so.
        accepted: Whether it would block, had the drift not been accepted beforehand.
    """

    name: str
    severity: Severity
    outcome: Outcome
    expected: str
    observed: str
    unexpected_count: int | None
    unexpected_percent: float | None
    examples: tuple[str, ...]
    reason: str
    accepted: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ExpectationResult":
        """The result that `dataclasses.asdict` and JSON made these values of."""
        return cls(**{**values, "examples": tuple(values["examples"])})

    @property
    def badge(self) -> Badge:
        """Outcome and severity in one word."""
        if self.outcome == "failed":
            return "error" if self.severity == "ERROR" else "warning"
        return self.outcome

    def sentence(self, table: str) -> str:
        """The result in one sentence for people: "books: 120 rows, 240 in the live build; at least 90% must remain"."""
        if self.outcome == "not compared":
            return f"{table}.{self.name}: not compared ({self.observed})"
        if self.name == "drift_rows" and self.examples:
            return f"{table}: {self.examples[0]}; {self.expected} must remain"
        examples = f" ({'; '.join(self.examples[:3])})" if self.examples else ""
        return f"{table}.{self.name}: {self.observed}{examples}; expected {self.expected}"


def result_of(result: Any) -> ExpectationResult:
    """What an ExpectationValidationResult of Great Expectations says, with the meta that `suite` gave it.

    Raises:
        KeyError, TypeError: another version stored it.
    """
    configuration, found = result.expectation_config, result.result or {}
    arguments, meta = configuration.kwargs, configuration.meta
    count: int | None = None
    total: int | None = None
    if (figure := meta["figure"]) is not None:
        value, count, total, examples = (figure[key] for key in ("value", "against", "total", "examples"))
        observed = figure["undefined"] if value is None else number_text(arguments["column"], value)
        compared = value is not None
    elif "unexpected_count" in found:
        count, total = found["unexpected_count"], found["element_count"] - found.get("missing_count", 0)
        compared = total > 0
        if not compared:
            observed = "no rows to look at" if not found["element_count"] else "no row has a value"
        elif arguments.get("mostly", 1) < 1:
            observed = f"{100 * (1 - count / total):.4g}% of {total:,} rows"
        else:
            observed = f"{count:,} of {total:,} rows failing"
        examples = _examples(arguments.get("column"), found.get("partial_unexpected_index_list") or ())
    else:
        value, examples = found.get("observed_value"), ()
        compared = value is not None and (meta["row_count"] > 0 or "column" not in arguments)
        observed = number_text("", value) if isinstance(value, int | float) else str(value)
        observed = observed if compared else "no rows to look at"
    return ExpectationResult(
        name=meta["name"],
        severity=meta["severity"],
        outcome=("passed" if result.success else "failed") if compared else "not compared",
        expected=expected_text(configuration.type, arguments),
        observed=observed,
        unexpected_count=count,
        unexpected_percent=100 * count / total if count is not None and total else None,
        examples=tuple(examples),
        reason=configuration.notes,
        accepted=meta["accepted"] and compared and not result.success,
    )


def not_asked(spec: ExpectationSpec, source: str) -> ExpectationResult:
    """The result of an expectation of another source than the table's."""
    return ExpectationResult(
        name=spec.name,
        severity=spec.severity,
        outcome="not compared",
        expected=expected_text(spec.expectation, spec.arguments),
        observed=f"not asked of {NAMES_OF_SOURCES[source]}",
        unexpected_count=None,
        unexpected_percent=None,
        examples=(),
        reason=spec.reason,
    )


def badge_of_all(counts: Mapping[Badge, int]) -> Badge | Literal[""]:
    """The badge of a table or suite; '' if it has no expectations.

    It has passed if some of them passed, and there was nothing to compare the others with.
    """
    order: tuple[Badge, ...] = ("error", "warning", "passed", "not compared")
    return next((badge for badge in order if counts[badge]), "")


def number_text(figure: str, value: float) -> str:
    """A number for people: shares in percent, others with separated thousands."""
    return f"{value * 100:.4g}%" if figure.startswith("share_") else f"{value:,.10g}"


def expected_text(expectation: str, arguments: Mapping[str, Any]) -> str:
    """A bound for people, such as "at least 90%", "exactly 0" or "a value in at least 50% of rows"."""
    if expectation == "expect_column_values_to_not_be_null":
        text = "a value"
    elif expectation == "expect_column_values_to_be_unique":
        text = "no repeated value"
    elif expectation == "expect_column_values_to_be_in_set":
        text = " or ".join(
            str(value).lower() if value in (True, False) else str(value) for value in arguments["value_set"]
        )
    else:
        text = _range_text(arguments) or f"{expectation} {_own(arguments)}"
    mostly = arguments.get("mostly", 1)
    return text if mostly == 1 else f"{text} in at least {mostly * 100:.6g}% of rows"


def _range_text(arguments: Mapping[str, Any]) -> str:
    low, high = (arguments.get(key) for key in ("min_value", "max_value"))
    if not all(isinstance(bound, int | float) for bound in (low, high) if bound is not None):
        return ""
    figure = str(arguments.get("column", ""))
    if low is not None and low == high:
        return f"exactly {number_text(figure, low)}"
    above = "more than" if arguments.get("strict_min") else "at least"
    below = "less than" if arguments.get("strict_max") else "at most"
    parts = [
        f"{word} {number_text(figure, bound)}" for word, bound in ((above, low), (below, high)) if bound is not None
    ]
    return " and ".join(parts)


def _own(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key not in ("column", "batch_id", "mostly")}


def _examples(column: str | None, rows: Any) -> list[str]:
    """Failing rows as texts: their label and, where the label does not say it, the value."""
    texts = []
    for row in rows:
        label, value = str(row.get("label")), row.get(column)
        texts.append(label if value is None or isinstance(value, bool) or str(value) in label else f"{label}: {value}")
    return [text[:100] for text in dict.fromkeys(texts)][:EXAMPLES]
