"""books, authors, reviews, works, genres, series: typed Parquet, with every rejected line counted and kept."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata, counts_table, sample_table
from viberary_pipeline.assets.data_quality_report import plots_of
from viberary_pipeline.quality.bounds import TABLES as CHECKED
from viberary_pipeline.resources import Storage
from viberary_pipeline.sources.ingest import ingest, statements_digest
from viberary_pipeline.sources.raw_files import RawInput
from viberary_pipeline.sources.table_specs import TABLES, Table


def _table_asset(table: Table) -> dg.AssetsDefinition:
    name = table.name

    @dg.asset(
        name=name,
        deps=[f"raw_{name}"],
        group_name="catalogue",
        kinds={"duckdb", "parquet"},
        description=f"{name}.parquet: one row is {table.row}; {name}_rejects.parquet: one row is a line left out.",
    )
    def typed(context: dg.AssetExecutionContext, config: StageConfig, storage: Storage) -> dg.MaterializeResult:
        raw = storage.store.current(f"raw_{name}")
        files = None if raw.facts["absent"] else RawInput.from_json(raw.facts)
        if files is not None:
            files.check_unchanged()
        produced = storage.store.produce(
            name,
            # The bytes determine the table; the folder that they lie in does not.
            inputs={f"raw_{name}": raw.facts["digest"]},
            settings={"sql": statements_digest(name), "reject_ceiling": storage.reject_ceiling},
            build=lambda out: ingest(name, files, out, storage.limits, reject_ceiling=storage.reject_ceiling),
            force=config.force,
        )
        facts = produced.artifact.facts
        rejected = sum(facts["rejected"].values())
        context.log.info(
            (
                f"{facts['rows']:,} {name} from {facts['lines']:,} lines, {rejected:,} rejected"
                if files is not None
                else "no file: an empty table"
            )
            + (" (unchanged)" if produced.reused else "")
        )
        return dg.MaterializeResult(
            metadata={
                **artifact_metadata(produced, rows=facts["rows"]),
                "lines": facts["lines"],
                "rejected": rejected,
                "rejects_by_reason": counts_table(facts["rejected"], "reason"),
                "values_nulled_by_column": counts_table(facts["nulled"], "column"),
                "repaired": counts_table(facts["repaired"], "what"),
                "sample": sample_table(produced.artifact.file(f"{name}.parquet")),
                **(plots_of(storage, name) if name in CHECKED else {}),
            }
        )

    return typed


table_assets = [_table_asset(table) for table in TABLES.values()]
