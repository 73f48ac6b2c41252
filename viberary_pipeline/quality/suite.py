"""Expectations run by Great Expectations over a whole table in DuckDB, and its results kept in Data Docs."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.errors import QualityError
from viberary_pipeline.machine import importing
from viberary_pipeline.quality.bounds import ExpectationSpec, wrong_entry
from viberary_pipeline.quality.data_docs import SITE, literal, page_path, site_config
from viberary_pipeline.quality.metrics import FIGURES, ROWS, Measured
from viberary_pipeline.quality.results import EXAMPLES, ExpectationResult, result_of

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits

_EXAMPLE_ROWS = 4 * EXAMPLES  # of a repeated value each copy is one


def run_suites(
    table: str,
    specs: Sequence[ExpectationSpec],
    database: Path,
    measured: Measured,
    *,
    accepted: frozenset[str],
    limits: "DuckLimits",
    docs: Path,
    run_name: str,
    keep: int,
) -> tuple[dict[str, ExpectationResult], Path]:
    """Run one table's expectations, store the results beside the site and bring the site up to date.

    The expectations on columns are the suite `{table}`, those on figures the suite `{table}_figures`. To be called
    under the site's lock.

    Args:
        table: The table's name.
        specs: Its expectations.
        database: What `metrics.measure` created.
        measured: What it returned.
        accepted: The expectations that would block, had the drift not been accepted.
        limits: DuckDB's memory and threads.
        docs: The absolute path of the site's folder; the results are stored in `{docs}/../gx/results`.
        run_name: What the run is called; it names a folder.
        keep: How many results of each suite are kept, this one included.

    Returns:
        The results by name; and the path of the HTML page of the suite `{table}` or, where it is empty, of the other.

    Raises:
        QualityError: an entry of the bounds cannot be checked, or the site could not be written.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral", project_config=_project(docs))
    on_figures = [spec for spec in specs if spec.column in measured.figures]
    suites = {
        table: (ROWS, [spec for spec in specs if spec not in on_figures]),
        f"{table}_figures": (FIGURES, on_figures),
    }
    with _data_source(context, database, limits) as source:
        definitions = []
        for name, (view, chosen) in suites.items():
            # Before `build_data_docs`, which drops the pages of the results that are gone.
            _prune(context.validation_results_store, name, keep=max(keep, 1) - 1)
            if chosen:
                expectations = [_expectation(spec, measured, spec.name in accepted) for spec in chosen]
                suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
                asset = source.add_table_asset(name, table_name=view)
                data = asset.add_batch_definition_whole_table("whole")
                definition = gx.ValidationDefinition(name=name, data=data, suite=suite)
                definitions.append(context.validation_definitions.add(definition))
        checkpoint = gx.Checkpoint(
            name=table,
            validation_definitions=definitions,
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": ["label"],
                "partial_unexpected_count": _EXAMPLE_ROWS,
            },
        )
        outcome = context.checkpoints.add(checkpoint).run(run_id=gx.RunIdentifier(run_name=run_name))
    # Not by the action UpdateDataDocsAction, which builds the index anew for each suite, from all stored results.
    context.build_data_docs(site_names=[SITE], resource_identifiers=list(outcome.run_results))

    by_name = {spec.name: spec for spec in specs}
    results: dict[str, ExpectationResult] = {}
    for validation in outcome.run_results.values():
        for result in validation.results:
            if errors := _raised(result.exception_info):
                raise wrong_entry(
                    by_name[result.expectation_config.meta["name"]], f"Great Expectations raised: {errors}"
                )
            results[result.expectation_config.meta["name"]] = result_of(result)
    _sweep(docs.parent / "gx" / "results")
    _sweep(docs / "validations")
    pages = [page_path(docs, key.to_tuple()) for key in outcome.run_results]
    lost = [page for page in (*pages, docs / "index.html") if not page.is_file() or not page.stat().st_size]
    if lost:
        raise QualityError(
            "Data Docs were not written",
            expected=", ".join(map(str, lost)),
            found="a page that is missing or empty; Great Expectations logged the cause above",
            todo=f"correct what the log names; if {docs} is damaged, remove the whole folder",
        )
    return results, pages[0]


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # before the import; never any telemetry
    with importing():
        import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gx


def _project(docs: Path) -> Any:
    """A context in memory, with only results and site on disk: nothing half-written can outlive a kill and break the
    next run, and no stored configuration goes stale when Great Expectations is upgraded."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    defaults = InMemoryStoreBackendDefaults()
    defaults.stores[defaults.validation_results_store_name]["store_backend"] = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": literal(docs.parent / "gx" / "results"),
    }
    return DataContextConfig(
        store_backend_defaults=defaults,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        data_docs_sites={SITE: site_config(docs)},
    )


@contextmanager
def _data_source(context: Any, database: Path, limits: "DuckLimits") -> Iterator[Any]:
    """A SQL data source of Great Expectations on a DuckDB database.

    Great Expectations fetches a result after it has closed the connection, which DuckDB does not allow. For SQLite and
    SQL Server it keeps one connection open; this engine does the same.
    """
    import duckdb
    from duckdb_engine import ConnectionWrapper
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

    from viberary_pipeline.duck import config

    class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            self._connection = self._connection or self.engine.connect()
            yield self._connection

    def connect() -> Any:
        return ConnectionWrapper(duckdb.connect(str(database), config=config(limits, database.parent)))

    SQLDatasource.execution_engine_override = DuckDBExecutionEngine  # type: ignore[misc]
    try:
        # A creator, not a path in the connection string, in which a "$" would be a variable.
        source = context.data_sources.add_sql("duckdb", connection_string="duckdb://", kwargs={"creator": connect})
        yield source
        engine = source.get_execution_engine()
        with engine.get_connection() as connection:
            connection.close()
        engine.engine.dispose()
        source.get_engine().dispose()
    finally:
        SQLDatasource.execution_engine_override = None  # type: ignore[misc]


def _expectation(spec: ExpectationSpec, measured: Measured, accepted: bool) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    figure = measured.figures.get(spec.column or "")
    if figure is None and spec.column not in (None, *measured.columns):
        known = f"the columns are {', '.join(measured.columns)}; the figures are {', '.join(measured.figures)}"
        raise wrong_entry(spec, f"column = {spec.column!r}; {known}")
    try:
        return get_expectation_impl(spec.expectation)(
            **spec.arguments,
            severity=FailureSeverity.CRITICAL if spec.severity == "ERROR" else FailureSeverity.WARNING,
            notes=spec.reason,
            meta={  # what results.result_of reads
                "name": spec.name,
                "severity": spec.severity,
                "accepted": accepted,
                "row_count": measured.rows,
                "figure": asdict(figure) if figure else None,
            },
        )
    except (ExpectationNotFoundError, ValueError, TypeError) as error:  # pydantic's errors are ValueErrors
        raise wrong_entry(spec, f"{spec.expectation} {spec.arguments}: {error}") from error


def _raised(exception_info: Mapping[str, Any] | None) -> list[str]:
    """The messages of what an expectation raised: Great Expectations has them flat, or by metric one level down."""
    entries = [exception_info or {}, *(exception_info or {}).values()]
    raised = (entry for entry in entries if isinstance(entry, Mapping) and entry.get("raised_exception"))
    return [str(entry.get("exception_message", entry)) for entry in raised]


def _prune(store: Any, suite: str, *, keep: int) -> None:
    """Remove all but the newest `keep` stored results of a suite."""
    keys = [key for key in store.list_keys() if key.expectation_suite_identifier.name == suite]
    keys.sort(key=lambda key: key.run_id.run_time, reverse=True)
    for key in keys[keep:]:
        store.remove_key(key)


def _sweep(root: Path) -> None:
    """Remove the empty folders under `root`: Great Expectations 1.24 leaves those of what it removes."""
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root) and not any(Path(folder).iterdir()):
            Path(folder).rmdir()
