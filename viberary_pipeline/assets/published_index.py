"""published_index: one atomic switch to the new index; the one before stays for rollback."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig
from viberary_pipeline.assets.data_quality_report import source_of
from viberary_pipeline.errors import GateRefused
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.contract import read_pointer, read_record
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import publish, save
from viberary_pipeline.quality.baseline import Baseline, save_baseline
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.report.inputs import consistent_tables
from viberary_pipeline.quality.verdict import require_passed
from viberary_pipeline.resources import SearchIndex, Storage


# The reports first: a build that nobody can read about does not go live.
@dg.asset(deps=["search_index", "data_quality_report", "evaluation_report"], group_name="index", kinds={"redis"})
def published_index(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, index: SearchIndex
) -> dg.MaterializeResult:
    """viberary:live and viberary:pointer on the gated build; builds older than the previous one are removed."""
    build = _built_by(context) or storage.store.current("search_index").facts["build"]
    client = index.client()
    with build_lock(client):
        switched = read_pointer(client).live != build
        if switched:
            publish(client, build, home=storage.path)
        removed = remove_unneeded(client)
        pointer = read_pointer(client)
        # After the removal, so that a restart does not bring removed builds back; and also where nothing was
        # switched: the run before may have been killed between its switch and its save.
        record = read_record(client, build)
        saved = record is not None and bool(record.saved)
        if removed or not saved:
            saved = save(client, build)
    if not saved:
        context.log.warning("Redis did not save: a restart of it goes back to what it saved last")
    _remember(context, storage, build)
    context.log.info(f"build {build} is live" + ("" if switched else " already"))
    return dg.MaterializeResult(
        metadata={
            "build": build,
            "switched": switched,
            "previous": pointer.previous,
            "removed": ", ".join(removed) or "none",
            "saved": saved,
        }
    )


def _remember(context: dg.AssetExecutionContext, storage: Storage, build: str) -> None:
    """Keep what the next build's tables are compared with: the profiles of these, unless a check refuses them."""
    try:
        require_passed(storage.store)
    except GateRefused as refusal:
        context.log.warning(
            f"the tables here are not those of the live build, and are not compared with: {refusal.what}"
        )
        return
    made = storage.store.current("search_index")
    tables = consistent_tables(storage.store)
    documents = tables.get("documents")
    if made.facts["build"] != build or documents is None or made.inputs["documents"] != documents.key:
        context.log.warning("the tables here have changed since the live build was made, and are not compared with")
        return
    profiles = {table: dict(profiled(storage.store, table, storage.limits).facts) for table in TABLES}
    keys = {table: tables[table].key for table in TABLES}
    save_baseline(storage.path, Baseline(build, source_of(storage), profiles, keys))


def _built_by(context: dg.AssetExecutionContext) -> str | None:
    """The build that this very run made: another run may have made another one since."""
    made = context.instance.get_records_for_run(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    for record in made.records:
        materialization = record.asset_materialization
        if materialization is not None and materialization.asset_key == dg.AssetKey("search_index"):
            return str(materialization.metadata["build"].value)
    return None
