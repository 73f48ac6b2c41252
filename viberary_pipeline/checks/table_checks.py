"""One asset check per expectation of the bounds file; those of severity ERROR block what is downstream."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.assets.data_quality_report import partial_report
from viberary_pipeline.assets.metadata import page_links
from viberary_pipeline.assets.stages import StageConfig, check_outcome, in_words, require_checks
from viberary_pipeline.quality.bounds import TABLES, ExpectationSpec, expectation_specs
from viberary_pipeline.quality.results import ExpectationResult
from viberary_pipeline.quality.validation import validated
from viberary_pipeline.quality.verdict import refused_tables, results_of, validation_stage
from viberary_pipeline.resources import Pipeline, RunReporter


def table_checks(bounds: Path, *, accept_drift: bool = False) -> list[dg.AssetChecksDefinition]:
    """The checks of all tables.

    Args:
        bounds: The bounds file.
        accept_drift: What is too far from the last published build warns instead of blocking.

    Raises:
        QualityError: the bounds file is wrong.
    """
    return [_checks_of(table, bounds, accept_drift) for table in TABLES]


def _checks_of(table: str, bounds: Path, accept_drift: bool) -> dg.AssetChecksDefinition:
    specs = expectation_specs(table, bounds)

    # All are made at once; that one alone may be asked for lets the UI run them without the table.
    @dg.multi_asset_check(name=validation_stage(table), specs=[_check_spec(spec) for spec in specs], can_subset=True)
    def quality(
        context: dg.AssetCheckExecutionContext,
        config: StageConfig,
        pipeline: dg.ResourceParam[Pipeline],
        home_lock: dg.ResourceParam[RunReporter],
    ) -> Iterator[dg.AssetCheckResult]:
        stage = validation_stage(table)
        with in_words(home_lock, stage):
            validation = validated(
                pipeline.store,
                table,
                home=pipeline.home,
                source=pipeline.source_of(pipeline.store.current(table)),
                limits=pipeline.settings.duckdb,
                bounds=bounds,
                accept_drift=accept_drift,
                run_name=context.run.run_id,
                force=config.force,
            )
        # What is downstream of a refused table does not run, the report's own asset included: it is written here, and
        # again after the check of each further table.
        report = partial_report(context.log, pipeline) if refused_tables(pipeline.store) else None
        pages = page_links(
            pipeline.settings.report.url,
            data_docs=validation.page,
            **({"report": report} if report else {}),
        )
        asked = {key.name for key in context.selected_asset_check_keys}
        results = [result for result in results_of(validation) if result.name in asked]
        checks = [_check_result(table, result, pages) for result in results]
        for result in results:
            if result.outcome == "failed":
                log = context.log.error if result.severity == "ERROR" else context.log.warning
                log(result.sentence(table))
        yield from checks
        with in_words(home_lock, stage):
            require_checks(table, checks)

    return quality


def _check_spec(spec: ExpectationSpec) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(spec.name, asset=spec.table, description=spec.reason, blocking=spec.severity == "ERROR")


def _check_result(table: str, result: ExpectationResult, pages: dict[str, dg.MetadataValue]) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "outcome": result.outcome,
        "expected": result.expected,
        "observed": result.observed,
        "reason": result.reason,
        **pages,
    }
    if result.unexpected_count is not None:
        metadata["unexpected_count"] = result.unexpected_count
    if result.accepted:
        metadata["accepted"] = "by VIBERARY_ACCEPT_DRIFT"
    if result.examples:
        metadata["examples"] = ", ".join(result.examples)
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=result.name,
        **check_outcome(result.outcome, blocks=result.severity == "ERROR"),
        description=None if result.outcome == "passed" else result.sentence(table),
        metadata=metadata,
    )
