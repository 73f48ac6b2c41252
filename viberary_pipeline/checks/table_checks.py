"""One asset check per expectation of the bounds file; those of severity ERROR block what is downstream."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.assets.data_quality_report import make_report
from viberary_pipeline.assets.stages import StageConfig
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.quality.baseline import before
from viberary_pipeline.quality.bounds import TABLES, ExpectationSpec, expectation_specs
from viberary_pipeline.quality.drift import drift_metrics
from viberary_pipeline.quality.metrics import RELATED
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.validation import validate
from viberary_pipeline.quality.verdict import refused_tables, validation_stage
from viberary_pipeline.resources import Pipeline


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

    @dg.multi_asset_check(name=validation_stage(table), specs=[_check_spec(spec) for spec in specs])
    def quality(
        context: dg.AssetCheckExecutionContext,
        config: StageConfig,
        pipeline: dg.ResourceParam[Pipeline],
        home_lock: dg.ResourceParam[object],
    ) -> Iterator[dg.AssetCheckResult]:
        report = _report(
            table, bounds, pipeline, accept_drift=accept_drift, run_name=context.run.run_id, force=config.force
        )
        # What is downstream of a refused table does not run, the report's own asset included: it is written here, and
        # again after the check of each further table.
        page = _partial_report(context, pipeline) if refused_tables(pipeline.store) else None
        for result in report["results"]:
            if not result["success"]:
                context.log.warning(
                    f"{result['severity']} {result['name']}: expected {result['expected']}, found {result['observed']}"
                )
            yield _check_result(table, result, report["page"], report_page=page)

    return quality


def _partial_report(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> str | None:
    try:
        return str(make_report(pipeline).artifact.facts["page"])
    except Exception:
        context.log.exception("the report on the refused tables could not be written")
        return None  # the refusal itself must be told


def _report(
    table: str, bounds: Path, pipeline: Pipeline, *, accept_drift: bool, run_name: str, force: bool
) -> dict[str, Any]:
    """The validation of the table as it is: found again where neither the table, nor the bounds, nor what it is
    compared with has changed."""
    store = pipeline.store
    names = (table, *RELATED.get(table, ()))
    artifacts = {name: store.current(name) for name in names}
    paths = {name: artifact.file(f"{name}.parquet") for name, artifact in artifacts.items()}
    profile = profiled(store, table, pipeline.settings.duckdb, force=force)
    last = before(pipeline.home, pipeline.settings.source)

    def run(out: Path) -> dict[str, Any]:
        report = validate(
            table,
            paths[table],
            docs=pipeline.home / "quality" / "docs",
            run_name=run_name,
            related={name: path for name, path in paths.items() if name != table},
            works_left_out=sum(artifacts[table].facts.get("filtered", {}).values()),
            drift=drift_metrics(table, profile.facts, last),
            accept_drift=accept_drift,
            bounds=bounds,
            limits=pipeline.settings.duckdb,
            scratch=out,
        )
        return {"page": str(report.page), "results": [asdict(result) for result in report.results]}

    measured_by = code_digest("quality/sql/macros.sql", f"quality/sql/{table}.sql", "quality/metrics.py")
    made_from: dict[str, Any] = {
        "inputs": {name: artifact.key for name, artifact in artifacts.items()},
        "settings": {
            "bounds": file_sha256(bounds),
            "metrics": measured_by,
            "profile": profile.key,
            "compared_with": last.digest or last.why_not,
            "accept_drift": accept_drift,
        },
        "build": run,
    }
    produced = store.produce(validation_stage(table), **made_from, force=force)
    if not Path(produced.artifact.facts["page"]).exists():  # pruned since, or removed by hand
        produced = store.produce(validation_stage(table), **made_from, force=True)
    return dict(produced.artifact.facts)


def _check_spec(spec: ExpectationSpec) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(spec.name, asset=spec.table, description=spec.reason, blocking=spec.severity == "ERROR")


def _check_result(table: str, result: dict[str, Any], page: str, *, report_page: str | None) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "expected": result["expected"],
        "observed": result["observed"],
        "reason": result["reason"],
        "data_docs": dg.MetadataValue.path(page),
    }
    if result["unexpected_count"] is not None:
        metadata["unexpected_count"] = result["unexpected_count"]
    if report_page is not None:
        metadata["report"] = dg.MetadataValue.path(report_page)
    if result["accepted"]:
        metadata["accepted"] = "by VIBERARY_ACCEPT_DRIFT"
    if result["examples"]:
        metadata["examples"] = ", ".join(result["examples"])
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=result["name"],
        passed=result["success"],
        severity=dg.AssetCheckSeverity.ERROR if result["severity"] == "ERROR" else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
