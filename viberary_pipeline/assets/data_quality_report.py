"""data_quality_report: one page on what came in, what was left out, and what the tables are like."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.quality.baseline import Source
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.report.make import make_report, table_plots
from viberary_pipeline.resources import Encoder, Storage


@dg.asset(deps=list(TABLES), group_name="quality", kinds={"duckdb", "greatexpectations"})
def data_quality_report(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder
) -> dg.MaterializeResult:
    """quality/report/latest.html: one page that needs no network, with the plots that are below as well."""
    produced = make_report(
        storage.store, storage.path, source_of(storage), storage.limits, encoder=encoder.resolve(), force=config.force
    )
    facts = produced.artifact.facts
    context.log.info(facts["verdict"] + (" (unchanged)" if produced.reused else ""))
    plots = {table: plots_of(storage, table) for table in facts["rows"]}
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "verdict": facts["verdict"],
            "report": dg.MetadataValue.path(facts["page"]),
            "rows": dg.MetadataValue.json(facts["rows"]),
            **{f"plots_{table}": found["plots"] for table, found in plots.items() if found},
        }
    )


def plots_of(storage: Storage, table: str) -> dict[str, dg.MetadataValue]:
    """The plots of a current table as metadata of its asset: {"plots": Markdown with the images in it}."""
    markdown = table_plots(storage.store, table, storage.limits)
    return {"plots": dg.MetadataValue.md(markdown)} if markdown else {}


def source_of(storage: Storage) -> Source:
    """Whether this build is of the bundled sample, which is only compared with itself."""
    return "sample" if storage.raw is None else "given"
