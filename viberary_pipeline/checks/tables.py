"""One asset check per expectation of `quality/bounds.toml`; those of severity ERROR block what is downstream."""

from collections.abc import Iterator

import dagster as dg

from viberary_pipeline.quality.bounds import TABLES, ExpectationSpec, expectation_specs
from viberary_pipeline.quality.metrics import RELATED
from viberary_pipeline.quality.validation import ExpectationResult, validate
from viberary_pipeline.resources import Storage


def _checks_of(table: str) -> dg.AssetChecksDefinition:
    specs = expectation_specs(table)

    @dg.multi_asset_check(name=f"{table}_quality", specs=[_check_spec(spec) for spec in specs])
    def quality(context: dg.AssetCheckExecutionContext, storage: Storage) -> Iterator[dg.AssetCheckResult]:
        store = storage.store
        report = validate(
            table,
            store.current(table).file(f"{table}.parquet"),
            docs=storage.data_docs,
            run_name=context.run.run_id,
            related={name: store.current(name).file(f"{name}.parquet") for name in RELATED.get(table, ())},
            limits=storage.limits,
        )
        for result in (*report.errors, *report.warnings):
            context.log.warning(f"{result.severity} {result.name}: expected {result.expected}, found {result.observed}")
        for result in report.results:
            yield _check_result(table, result, str(report.page))

    return quality


def _check_spec(spec: ExpectationSpec) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        spec.name, asset=spec.table, description=spec.reason, blocking=spec.severity == "ERROR"
    )


def _check_result(table: str, result: ExpectationResult, page: str) -> dg.AssetCheckResult:
    metadata = {"expected": result.expected, "observed": result.observed, "data_docs": dg.MetadataValue.path(page)}
    if result.unexpected_count is not None:
        metadata["unexpected_count"] = dg.MetadataValue.int(result.unexpected_count)
    if result.examples:
        metadata["examples"] = dg.MetadataValue.text(", ".join(result.examples))
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=result.name,
        passed=result.success,
        severity=dg.AssetCheckSeverity.ERROR if result.severity == "ERROR" else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


table_checks = [_checks_of(table) for table in TABLES]
