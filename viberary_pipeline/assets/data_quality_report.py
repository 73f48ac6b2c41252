"""data_quality_report: one page on what came in, what was left out, and what the tables are like."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import Produced
from viberary_pipeline.assets.metadata import page_links
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.report.make import make_report, table_plots
from viberary_pipeline.resources import Pipeline


@stage(group="quality", kinds={"duckdb", "greatexpectations"}, reads=TABLES)
def data_quality_report(work: Work) -> Result:
    """quality/report/latest.html: one page that needs no network, with the plots that are below as well."""
    made = report_on(work.pipeline, tokens=True, force=work.force)
    facts = made.artifact.facts
    plots = {table: plots_of(work.pipeline, table) for table in facts["rows"]}
    return Result(
        made,
        facts["verdict"],
        metadata={
            "verdict": facts["verdict"],
            **page_links(work.pipeline.settings.report.url, report=made.artifact.page),
            "row_counts": dg.MetadataValue.json(facts["rows"]),
            **{f"plots_{table}": found["plots"] for table, found in plots.items() if found},
        },
    )


def report_on(
    pipeline: Pipeline, *, tokens: bool = False, force: bool = False, failed: Mapping[str, str] | None = None
) -> Produced:
    """The report on the tables as they are; `tokens`: with those that the encoder reads; `failed`: but for these."""
    return make_report(
        pipeline.store,
        pipeline.home,
        pipeline.settings.source if "books" in (failed or ()) else pipeline.source_of(pipeline.store.current("books")),
        pipeline.settings.duckdb,
        encoder=pipeline.encoder if tokens else None,
        force=force,
        failed=failed,
        licence=pipeline.settings.sources.licence,
    )


def partial_report(log: Any, pipeline: Pipeline, failed: Mapping[str, str] | None = None) -> str | None:
    """The page of the report on what there is after a failure; None, and a line in the log, where it cannot be made."""
    try:
        return str(report_on(pipeline, failed=failed).artifact.page)
    except Exception:
        log.exception("the report on what was refused could not be written")
        return None  # the refusal itself must still be reported


def plots_of(pipeline: Pipeline, table: str) -> dict[str, dg.MetadataValue]:
    """The plots of a current table as metadata of its asset: {"plots": Markdown with the images in it}."""
    markdown = table_plots(pipeline.store, table, pipeline.settings.duckdb)
    return {"plots": dg.MetadataValue.md(markdown)} if markdown else {}
