"""books, authors, reviews: typed Parquet from the raw files, with every rejected line counted and kept."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata, counts_table, sample_table
from viberary_pipeline.catalogue.ingest import TABLES, ingest, statements_digest
from viberary_pipeline.catalogue.raw import RawFile
from viberary_pipeline.resources import Storage

_ROW = {"books": "one edition", "authors": "one author", "reviews": "one review"}


def _table_asset(table: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=table,
        deps=[f"raw_{table}"],
        group_name="catalogue",
        kinds={"duckdb", "parquet"},
        description=f"{table}.parquet: one row is {_ROW[table]}; {table}_rejects.parquet: one row is a line left out.",
    )
    def typed(context: dg.AssetExecutionContext, config: StageConfig, storage: Storage) -> dg.MaterializeResult:
        raw = storage.store.current(f"raw_{table}")
        path = RawFile(**raw.facts).check_unchanged()
        produced = storage.store.produce(
            table,
            # The bytes determine the table; where the file lies does not.
            inputs={f"raw_{table}": raw.facts["sha256"]},
            settings={"sql": statements_digest(table), "reject_ceiling": storage.reject_ceiling},
            build=lambda out: ingest(table, path, out, storage.limits, reject_ceiling=storage.reject_ceiling),
            force=config.force,
        )
        facts = produced.artifact.facts
        rejected = sum(facts["rejected"].values())
        context.log.info(
            f"{facts['rows']:,} {table} from {facts['lines']:,} lines, {rejected:,} rejected"
            + (" (unchanged)" if produced.reused else "")
        )
        return dg.MaterializeResult(
            metadata={
                **artifact_metadata(produced, rows=facts["rows"]),
                "lines": facts["lines"],
                "rejected": rejected,
                "rejects_by_reason": counts_table(facts["rejected"], "reason"),
                "sample": sample_table(produced.artifact.file(f"{table}.parquet")),
            }
        )

    return typed


table_assets = [_table_asset(table) for table in TABLES]
