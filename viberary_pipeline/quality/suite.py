"""One table's suite of expectations, run by Great Expectations over the one-row frame of its metrics."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.bounds import ExpectationSpec, wrong_entry
from viberary_pipeline.quality.data_docs import SITE, page_path, site_config
from viberary_pipeline.quality.metrics import Metric
from viberary_pipeline.quality.wording import expected_text, observed_text, percent_against

if TYPE_CHECKING:
    import pandas as pd


def run_suite(
    table: str,
    specs: Sequence[ExpectationSpec],
    metrics: Mapping[str, Metric],
    *,
    docs: Path,
    run_name: str,
    keep: int,
) -> tuple[dict[str, bool], Path]:
    """Run one table's expectations over its metrics, store the result and bring the site up to date.

    To be called under the site's lock. The results are stored in `{docs}/../gx/results`.

    Args:
        table: The table's name: also the suite's.
        specs: Its expectations.
        metrics: What was measured, by name.
        docs: The absolute path of the site's folder.
        run_name: What the run is called; it names a folder.
        keep: How many results of the table are kept, this one included.

    Returns:
        Whether each expectation was met, by name; and the path of the result's HTML page.

    Raises:
        QualityError: an entry of the bounds cannot be checked, or the site could not be written.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral", project_config=_project(docs))
    # Before the run, because its index build drops the pages of the results that are gone.
    _prune(context.validation_results_store, table, keep=max(keep, 1) - 1)

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
            raise wrong_entry(by_name[name], f"Great Expectations raised: {result.exception_info}")
        successes[name] = bool(result.success)

    _sweep(docs.parent / "gx" / "results")
    _sweep(docs / "validations")
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
        "base_directory": str(docs.parent / "gx" / "results"),
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


def _sweep(root: Path) -> None:
    """Remove the empty folders under `root`: Great Expectations 1.24 leaves those of what it removes."""
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root) and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


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
                "observed": observed_text(spec.metric, metric),
                "against": metric.against,
                "percent": percent_against(metric),
                "examples": list(metric.examples),
                "row_count": int(metrics["row_count"].value or 0),
            },
        )
    except (ExpectationNotFoundError, ValueError, TypeError) as error:  # pydantic's errors are ValueErrors
        raise wrong_entry(spec, f"{spec.expectation} {spec.arguments}: {error}") from error


def _frame(metrics: Mapping[str, Metric]) -> "pd.DataFrame":
    """One row, one float column per metric; NaN (which no expectation on values looks at) where undefined."""
    import pandas as pd

    values = {name: [metric.value] for name, metric in metrics.items()}
    return pd.DataFrame(values, dtype="float64")
