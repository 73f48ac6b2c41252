"""Validation of one table: metrics against bounds by Great Expectations, the result kept in Data Docs."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from viberary_pipeline.catalogue.duck import DuckLimits
from viberary_pipeline.quality.bounds import (
    BOUNDS,
    ExpectationSpec,
    QualityError,
    Severity,
    expectation_specs,
)
from viberary_pipeline.quality.data_docs import SITE, page_path, site_config
from viberary_pipeline.quality.metrics import Metric, measure

if TYPE_CHECKING:
    import pandas as pd

STORE = "gx"  # folder beside the site: the stored results and the lock
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
    store = docs.parent / STORE
    store.mkdir(parents=True, exist_ok=True)
    metrics = measure(table, parquet, related=related, scratch=store, limits=limits)
    for spec in specs:
        if spec.metric not in metrics:
            raise _wrong_entry(spec, f"column = {spec.metric!r}; the metrics are {', '.join(metrics)}")

    run_name = re.sub(r"[^A-Za-z0-9_.-]+", "-", run_name).strip(".-")[:100] or "run"  # it names a folder
    try:
        # Great Expectations writes several files without locks: one validation of a site at a time.
        with FileLock(store / "lock", timeout=LOCK_SECONDS):
            successes, page = _run_suite(table, specs, metrics, docs=docs, run_name=run_name, keep=keep_runs)
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


def _run_suite(
    table: str,
    specs: Sequence[ExpectationSpec],
    metrics: Mapping[str, Metric],
    *,
    docs: Path,
    run_name: str,
    keep: int,
) -> tuple[dict[str, bool], Path]:
    """Run one table's suite over its metrics. Returns success by name, and the path of the HTML page."""
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral", project_config=_project(docs))
    _prune(
        context.validation_results_store, table, keep=max(keep, 1) - 1
    )  # before the run, whose index build drops their pages

    suite = context.suites.add(
        gx.ExpectationSuite(name=table, expectations=[_expectation(spec, metrics) for spec in specs])
    )
    source = context.data_sources.add_pandas("viberary")
    batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("metrics")
    definition = gx.ValidationDefinition(name=table, data=batch, suite=suite)
    complaints = _Complaints(level=logging.ERROR)
    checkpoint = gx.Checkpoint(
        name=table,
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs", site_names=[SITE])],
        result_format="BASIC",
    )
    logger = logging.getLogger("great_expectations")
    logger.addHandler(complaints)
    try:
        outcome = context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": _frame(metrics)}, run_id=gx.RunIdentifier(run_name=run_name)
        )
    finally:
        logger.removeHandler(complaints)

    ((key, validation),) = outcome.run_results.items()
    successes: dict[str, bool] = {}
    by_name = {spec.name: spec for spec in specs}
    for result in validation.results:
        name = result.expectation_config.meta["name"]
        if _raised(result.exception_info):
            raise _wrong_entry(by_name[name], f"Great Expectations raised: {result.exception_info}")
        successes[name] = bool(result.success)

    page = page_path(docs, key.to_tuple())
    index = docs / "index.html"
    if not page.is_file() or not (index.is_file() and index.stat().st_size):
        raise QualityError(
            "Data Docs were not written",
            expected=f"{page} and {index}",
            found="; ".join(complaints.texts) or "a page that is missing or empty",
            todo="mend what is named above; a site that is damaged can be removed whole",
        )
    return successes, page


class _Complaints(logging.Handler):
    """What Great Expectations logs as errors: a page that it cannot render stops nothing else in it."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # before the import; never any telemetry
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gx


def _project(docs: Path) -> Any:
    """A context in memory, whose results and site alone are on disk: nothing half-written can outlive a kill
    and break the next run, and no stored configuration goes stale when Great Expectations is upgraded."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    defaults = InMemoryStoreBackendDefaults()
    defaults.stores[defaults.validation_results_store_name]["store_backend"] = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": str(docs.parent / STORE / "results"),
    }
    return DataContextConfig(
        store_backend_defaults=defaults,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        data_docs_sites={SITE: site_config(docs)},
    )


def _raised(exception_info: Any) -> bool:
    """Whether an expectation raised: Great Expectations tells it flat, or by metric one level down."""
    entries = [exception_info or {}, *(exception_info or {}).values()]
    return any(isinstance(entry, Mapping) and bool(entry.get("raised_exception")) for entry in entries)


def _prune(store: Any, table: str, *, keep: int) -> None:
    """Remove all but the newest `keep` stored results of a table."""
    keys = [key for key in store.list_keys() if key.expectation_suite_identifier.name == table]
    keys.sort(key=lambda key: key.run_id.run_time, reverse=True)
    for key in keys[keep:]:
        store.remove_key(key)


def _expectation(spec: ExpectationSpec, metrics: Mapping[str, Metric]) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    metric = metrics[spec.metric]
    try:
        return get_expectation_impl(spec.expectation)(
            **spec.arguments,
            severity=FailureSeverity.CRITICAL if spec.severity == "ERROR" else FailureSeverity.WARNING,
            description=f"{spec.metric}: {expected_text(spec)}",
            notes=spec.reason,
            meta={  # what the pages of Data Docs show
                "name": spec.name,
                "severity": spec.severity,
                "expected": expected_text(spec),
                "observed": number_text(spec.metric, metric.value),
                "against": metric.against,
                "percent": percent_against(metric),
                "examples": list(metric.examples),
                "row_count": int(metrics["row_count"].value or 0),
            },
        )
    except (ExpectationNotFoundError, ValueError, TypeError) as error:  # pydantic's errors are ValueErrors
        raise _wrong_entry(spec, f"{spec.expectation} {spec.arguments}: {error}") from error


def _frame(metrics: Mapping[str, Metric]) -> "pd.DataFrame":
    """One row, one float column per metric; NaN (which no expectation on values looks at) where undefined."""
    import pandas as pd

    values = {name: [metric.value] for name, metric in metrics.items()}
    return pd.DataFrame(values, dtype="float64")


def _wrong_entry(spec: ExpectationSpec, found: str) -> QualityError:
    return QualityError(
        f"The expectation {spec.table}.{spec.name} cannot be checked",
        expected="a Great Expectations type with its arguments, on a metric of the table",
        found=found,
        todo=f"correct the entry [{spec.table}.{spec.name}] of the bounds file",
    )


def percent_against(metric: Metric) -> float | None:
    """The rows against, in percent of those looked at; None where there are none."""
    return 100.0 * metric.against / metric.total if metric.against is not None and metric.total else None


def number_text(metric: str, value: float | None) -> str:
    """A metric's value for people: shares in percent, other numbers with separated thousands."""
    if value is None:
        return "undefined"
    return f"{value * 100:.4g}%" if metric.startswith("share_") else f"{value:,.10g}"


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
