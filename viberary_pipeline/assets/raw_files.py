"""raw_books, raw_authors, raw_reviews, raw_works, raw_genres, raw_series: the input files, found and fingerprinted."""

import dagster as dg

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.resources import Storage
from viberary_pipeline.sources.raw_files import OPTIONAL, TABLES, RawInput, find


def _raw_asset(table: str) -> dg.AssetsDefinition:
    optional = "; optional" if table in OPTIONAL else ""

    @dg.asset(
        name=f"raw_{table}",
        group_name="raw",
        kinds={"gzip", "json"},
        description=f"The files of {table} of the UCSD Book Graph as they are now: place, size, fingerprint{optional}.",
    )
    def raw(context: dg.AssetExecutionContext, config: StageConfig, storage: Storage) -> dg.MaterializeResult:
        store = storage.store
        # `force` means what it says: nothing that was known is believed.
        known = None if config.force else _known(store, table)
        found = find(table, storage.raw_location(), known=known)
        files = found or RawInput(table, parts=())
        facts = {**files.to_json(), "absent": found is None, "digest": files.digest, "bytes": files.bytes}
        produced = store.produce(
            f"raw_{table}", inputs={}, settings=files.to_json(), build=lambda _: facts, force=config.force
        )
        for part in files.parts:
            context.log.info(f"{part.uri}: {part.bytes:,} bytes, {part.version}")
        for note in files.notes:
            context.log.warning(f"{table}: {note}")
        if found is None:
            context.log.info(f"no {table} at {storage.raw_location()}; the build does without")
        return dg.MaterializeResult(
            metadata={
                **artifact_metadata(produced),
                "files": _parts_table(files),
                "bytes": files.bytes,
                "digest": files.digest,
                "absent": found is None,
                "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in files.notes) or "none"),
            }
        )

    return raw


def _known(store: ArtifactStore, table: str) -> RawInput | None:
    """What the last run found, if any did, and in today's form."""
    try:
        return RawInput.from_json(store.current(f"raw_{table}").facts)
    except (ArtifactError, KeyError, TypeError):
        return None


def _parts_table(files: RawInput) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({"file": part.uri, "bytes": part.bytes, "version": part.version}) for part in files.parts
        ],
        schema=dg.TableSchema(
            columns=[dg.TableColumn("file"), dg.TableColumn("bytes", "int"), dg.TableColumn("version")]
        ),
    )


raw_assets = [_raw_asset(table) for table in (*TABLES, *OPTIONAL)]
