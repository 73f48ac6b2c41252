"""published_index: one atomic switch to the new index; the one before stays for rollback."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import publish
from viberary_pipeline.resources import SearchIndex, Storage
from viberary_pipeline.search.schema import read_pointer


@dg.asset(deps=["search_index"], group_name="index", kinds={"redis"})
def published_index(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, index: SearchIndex
) -> dg.MaterializeResult:
    """viberary:live and viberary:pointer on the gated build; builds older than the previous one are removed."""
    build = storage.store.current("search_index").facts["build"]
    client = index.client()
    with build_lock(client):
        switched = read_pointer(client).live != build
        if switched:
            publish(client, build)
        removed = remove_unneeded(client)
        pointer = read_pointer(client)
    context.log.info(f"build {build} is live" + ("" if switched else " already"))
    return dg.MaterializeResult(
        metadata={
            "build": build,
            "switched": switched,
            "previous": pointer.previous,
            "removed": ", ".join(removed) or "none",
        }
    )
