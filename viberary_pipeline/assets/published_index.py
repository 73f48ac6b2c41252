"""published_index: one atomic switch to the new index; the one before stays for rollback."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import publish, save
from viberary_pipeline.resources import SearchIndex, Storage
from viberary_pipeline.search.schema import read_pointer, read_record


@dg.asset(deps=["search_index"], group_name="index", kinds={"redis"})
def published_index(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, index: SearchIndex
) -> dg.MaterializeResult:
    """viberary:live and viberary:pointer on the gated build; builds older than the previous one are removed."""
    build = _built_by(context) or storage.store.current("search_index").facts["build"]
    client = index.client()
    with build_lock(client):
        switched = read_pointer(client).live != build
        if switched:
            publish(client, build)
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


def _built_by(context: dg.AssetExecutionContext) -> str | None:
    """The build that this very run made: another run may have made another one since."""
    made = context.instance.get_records_for_run(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    for record in made.records:
        materialization = record.asset_materialization
        if materialization is not None and materialization.asset_key == dg.AssetKey("search_index"):
            return str(materialization.metadata["build"].value)
    return None
