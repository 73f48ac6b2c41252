"""Validation of one table: metrics against bounds by Great Expectations, the result kept in Data Docs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.baseline import NOTHING_BEFORE
from viberary_pipeline.quality.bounds import (
    BOUNDS,
    ExpectationSpec,
    Severity,
    expectation_specs,
    wrong_entry,
)
from viberary_pipeline.quality.drift import DRIFT_METRICS, drift_metrics
from viberary_pipeline.quality.metrics import Metric, measure
from viberary_pipeline.quality.suite import run_suite
from viberary_pipeline.quality.wording import expected_text, observed_text, percent_against

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
        observed: The metric's value in words; "undefined" for a share of no rows, and for drift why there is none.
        unexpected_count: Rows that speak against it, even if few enough; None where rows do not.
        unexpected_percent: The same, of the rows looked at (0 to 100).
        examples: Up to three of those rows, as texts such as "book 42".
        reason: Why the data should be so.
        accepted: Whether it would block, had the drift not been accepted beforehand.
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
    accepted: bool = False


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
    works_left_out: int = 0,
    drift: Mapping[str, Metric] | None = None,
    accept_drift: bool = False,
    keep_runs: int = 10,
    bounds: Path = BOUNDS,
    limits: DuckLimits = DUCK_LIMITS,
    scratch: Path | None = None,
) -> ValidationReport:
    """Check a table against its bounds and put the result into Data Docs.

    Args:
        table: "books", "authors", "reviews" or "documents".
        parquet: Its Parquet file, or folder of them.
        docs: The folder of the site; the stored results lie beside it, in `gx/`.
        run_name: What the run is called in Data Docs, such as the Dagster run id.
        related: For documents: the Parquet files of books, authors and reviews (`metrics.RELATED`).
        works_left_out: For documents: how many works its filters left out on purpose.
        drift: How far the table is from the last published one (`drift.drift_metrics`); None: nothing to compare.
        accept_drift: Missed expectations of drift warn instead of blocking.
        keep_runs: How many results per table are kept, this one included; older ones are removed.
        bounds: The bounds file.
        limits: DuckDB's memory and threads.
        scratch: An existing folder, in which DuckDB may spill; None: beside the stored results.

    Raises:
        QualityError: the table could not be checked (a missed bound is a result, not an error).
    """
    specs = expectation_specs(table, bounds)
    accepted = {spec.name for spec in specs if accept_drift and spec.severity == "ERROR" and is_drift(spec)}
    specs = [spec.model_copy(update={"severity": "WARN"}) if spec.name in accepted else spec for spec in specs]
    docs = docs.absolute()
    store = docs.parent / "gx"
    store.mkdir(parents=True, exist_ok=True)
    metrics = measure(
        table, parquet, related=related, scratch=scratch or store, limits=limits, works_left_out=works_left_out
    ) | dict(drift if drift is not None else drift_metrics(table, None, NOTHING_BEFORE))
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
        results=tuple(
            _result(spec, metrics[spec.metric], successes[spec.name], accepted=spec.name in accepted) for spec in specs
        ),
        page=page,
        index=docs / "index.html",
    )


def is_drift(spec: ExpectationSpec) -> bool:
    """Whether the expectation compares the table with the last published one."""
    return spec.metric in DRIFT_METRICS


def _result(spec: ExpectationSpec, metric: Metric, success: bool, *, accepted: bool) -> ExpectationResult:
    return ExpectationResult(
        name=spec.name,
        severity=spec.severity,
        success=success,
        expected=expected_text(spec),
        observed=observed_text(spec.metric, metric),
        unexpected_count=metric.against,
        unexpected_percent=percent_against(metric),
        examples=metric.examples,
        reason=spec.reason,
        accepted=accepted and not success,
    )
