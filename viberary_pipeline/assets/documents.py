"""documents: one row per work, with the text that is embedded and what the page shows."""

import dagster as dg

from viberary_pipeline.assets.common import (
    StageConfig,
    artifact_metadata,
    counts_table,
    current_inputs,
    sample_table,
)
from viberary_pipeline.assets.data_quality_report import plots_of
from viberary_pipeline.documents.assemble import TABLES, build_documents, statements_digest
from viberary_pipeline.resources import Encoder, Storage


@dg.asset(deps=list(TABLES), group_name="documents", kinds={"duckdb", "parquet"})
def documents(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder
) -> dg.MaterializeResult:
    """documents.parquet: one row is one work, all its editions joined."""
    tables = {table: storage.store.current(table) for table in TABLES}
    produced = storage.store.produce(
        "documents",
        inputs=current_inputs(tables),
        settings={"sql": statements_digest(encoder.recipe), "rules": encoder.rules.to_json()},
        build=lambda out: build_documents(
            {table: artifact.file(f"{table}.parquet") for table, artifact in tables.items()},
            out,
            storage.limits,
            encoder.recipe,
            encoder.rules,
        ),
        force=config.force,
    )
    facts = produced.artifact.facts
    context.log.info(
        f"{facts['rows']:,} works from {facts['editions']:,} editions, {facts['thin']:,} thin, "
        f"left out by joins: {facts['excluded'] or 'nothing'}, by filters: {facts['filtered'] or 'nothing'}"
        + (" (unchanged)" if produced.reused else "")
    )
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced, rows=facts["rows"]),
            "editions": facts["editions"],
            "thin": facts["thin"],
            "recipe": encoder.recipe.name,
            "left_out_by_reason": counts_table(facts["excluded"], "reason"),
            "works_left_out_by_filter": counts_table(facts["filtered"], "filter"),
            "same_title_author": facts["same_title_author"],
            "works_that_may_be_the_same": sample_table(produced.artifact.file("same_title_author.parquet")),
            "sample": sample_table(produced.artifact.file("documents.parquet")),
            **plots_of(storage, "documents"),
        }
    )
