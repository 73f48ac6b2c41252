"""raw_books, raw_authors, raw_reviews: the input files, fingerprinted."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.catalogue.ingest import TABLES
from viberary_pipeline.catalogue.raw import FILES, fingerprint
from viberary_pipeline.resources import Storage


def _raw_asset(table: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"raw_{table}",
        group_name="raw",
        kinds={"gzip", "json"},
        description=f"{FILES[table]} of the UCSD Book Graph as it is now: path, size and SHA-256.",
    )
    def raw(context: dg.AssetExecutionContext, config: StageConfig, storage: Storage) -> dg.MaterializeResult:
        file = fingerprint(table, storage.raw_folder())
        produced = storage.store.produce(
            f"raw_{table}",
            inputs={},
            settings={"sha256": file.sha256, "path": file.path, "mtime_ns": file.mtime_ns},
            build=lambda _: file.to_json(),
            force=config.force,
        )
        context.log.info(f"{file.path}: {file.bytes:,} bytes, sha256 {file.sha256[:12]}")
        return dg.MaterializeResult(
            metadata={
                **artifact_metadata(produced),
                "file": dg.MetadataValue.path(file.path),
                "bytes": file.bytes,
                "sha256": file.sha256,
            }
        )

    return raw


raw_assets = [_raw_asset(table) for table in TABLES]
