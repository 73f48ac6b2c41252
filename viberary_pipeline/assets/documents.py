"""documents: one row per work, with the text that is embedded and what the page shows."""

from viberary_pipeline.assets.data_quality_report import plots_of
from viberary_pipeline.assets.metadata import column_schema, counts_in_words, counts_table, sample_table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.documents.assemble import CODE, SAME, TABLES, build_documents


@stage(
    group="documents",
    kinds={"duckdb", "parquet"},
    reads=(*TABLES, "same_works"),
    code=CODE,
    links=("documents.parquet", "same_title_author.parquet"),
)
def documents(work: Work) -> Result:
    """documents.parquet: one row is one work, all its editions joined."""
    pipeline = work.pipeline
    tables = {table: work.inputs[table].file(f"{table}.parquet") for table in TABLES}
    tables |= {table: work.inputs["same_works"].file(f"{table}.parquet") for table in SAME}
    made = work.produce(
        lambda out: {
            **build_documents(
                tables,
                out,
                pipeline.settings.duckdb,
                pipeline.recipe,
                pipeline.rules,
            ),
            "source": work.inputs["books"].facts["source"],
        },
        recipe=pipeline.recipe.name,
        rules=pipeline.rules.to_json(),
    )
    facts = made.artifact.facts
    return Result(
        made,
        f"{facts['rows']:,} works ({facts['thin']:,} with neither description nor review) from {facts['editions']:,} "
        f"editions; left out by joins: {counts_in_words(facts['excluded'])}; "
        f"by filters: {counts_in_words(facts['filtered'])}",
        rows=facts["rows"],
        metadata={
            "editions": facts["editions"],
            "thin": facts["thin"],
            "recipe": pipeline.recipe.name,
            "left_out_by_reason": counts_table(facts["excluded"], "reason"),
            "works_left_out_by_filter": counts_table(facts["filtered"], "filter"),
            "same_title_author": facts["same_title_author"],
            "works_that_may_be_the_same": sample_table(made.artifact.file("same_title_author.parquet")),
            "sample": sample_table(made.artifact.file("documents.parquet")),
            **column_schema("documents", made.artifact.file("documents.parquet")),
            **plots_of(pipeline, "documents"),
        },
    )
