"""Validation of one table: metrics against bounds by Great Expectations, the result kept in Data Docs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from viberary_pipeline.catalogue.duck import DuckLimits
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.bounds import (
    BOUNDS,
    ExpectationSpec,
    Severity,
    expectation_specs,
    wrong_entry,
)
from viberary_pipeline.quality.metrics import Metric, measure
from viberary_pipeline.quality.suite import run_suite
from viberary_pipeline.quality.wording import expected_text, number_text, percent_against

LOCK_SECONDS = 600.0
DUCK_LIMITS = DuckLimits()


@dataclass(frozen=True)
class ExpectationResult:
    """How one expectation fared.

    Args:
        name: Its name in `bounds.toml`, also the name of the asset check.
        severity: "ERROR" blocks the index, "WARN" only shows.
        success: Whether the data met it.
        expected: The bound in words, such as "at least 50%".
        observed: The metric's value in words; "undefined" for a share of no rows.
        unexpected_count: Rows that speak against it, even if few enough; None where rows do not.
        unexpected_percent: The same, of the rows looked at (0 to 100).
        examples: Up to three of those rows, as texts such as "book 42".
        reason: Why the data should be so.
    """

    name: str
    severity: Severity
    success: bool
    expected: str
    observed: str
    unexpected_count: int | None
    unexpected_percent: float | None
    examples: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class ValidationReport:
    """One run of one table's suite: `results` in the order of `bounds.toml`, `page` its HTML page."""

    table: str
    run_name: str
    row_count: int
    results: tuple[ExpectationResult, ...]
    page: Path
    index: Path

    @property
    def errors(self) -> tuple[ExpectationResult, ...]:
        """The missed expectations that block the index."""
        return tuple(r for r in self.results if not r.success and r.severity == "ERROR")

    @property
    def warnings(self) -> tuple[ExpectationResult, ...]:
        """The missed expectations that only show."""
        return tuple(r for r in self.results if not r.success and r.severity == "WARN")


def validate(
    table: str,
    parquet: Path,
    *,
    docs: Path,
    run_name: str,
    related: Mapping[str, Path] | None = None,
    keep_runs: int = 10,
    bounds: Path = BOUNDS,
    limits: DuckLimits = DUCK_LIMITS,
) -> ValidationReport:
    """Check a table against its bounds and put the result into Data Docs.

    Args:
        table: "books", "authors", "reviews" or "documents".
        parquet: Its Parquet file.
        docs: The folder of the site; the stored results lie beside it, in `gx/`.
        run_name: What the run is called in Data Docs, such as the Dagster run id.
        related: For documents: the Parquet files of books, authors and reviews (`metrics.RELATED`).
        keep_runs: How many results per table are kept, this one included; older ones are removed.
        bounds: The bounds file.
        limits: DuckDB's memory and threads.

    Raises:
        QualityError: the table could not be checked (a missed bound is a result, not an error).
    """
    specs = expectation_specs(table, bounds)
    docs = docs.absolute()
    store = docs.parent / "gx"
    store.mkdir(parents=True, exist_ok=True)
    metrics = measure(table, parquet, related=related, scratch=store, limits=limits)
    for spec in specs:
        if spec.metric not in metrics:
            raise wrong_entry(spec, f"column = {spec.metric!r}; the metrics are {', '.join(metrics)}")

    run_name = re.sub(r"[^A-Za-z0-9_.-]+", "-", run_name).strip(".-")[:100] or "run"  # it names a folder
    try:
        # Great Expectations writes several files without locks: one validation of a site at a time.
        with FileLock(store / "lock", timeout=LOCK_SECONDS):
            successes, page = run_suite(table, specs, metrics, docs=docs, run_name=run_name, keep=keep_runs)
    except Timeout as error:
        raise QualityError(
            "The data quality report is locked",
            expected=f"the lock {store / 'lock'} within {LOCK_SECONDS:.0f} s",
            found="another process still holds it",
            todo="wait for it, or end it; the lock goes with the process",
        ) from error
    return ValidationReport(
        table,
        run_name,
        row_count=int(metrics["row_count"].value or 0),
        results=tuple(_result(spec, metrics[spec.metric], successes[spec.name]) for spec in specs),
        page=page,
        index=docs / "index.html",
    )


def _result(spec: ExpectationSpec, metric: Metric, success: bool) -> ExpectationResult:
    return ExpectationResult(
        name=spec.name,
        severity=spec.severity,
        success=success,
        expected=expected_text(spec),
        observed=number_text(spec.metric, metric.value),
        unexpected_count=metric.against,
        unexpected_percent=percent_against(metric),
        examples=metric.examples,
        reason=spec.reason,
    )
