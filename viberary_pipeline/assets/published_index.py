"""published_index: one atomic switch to the new index; the one before stays for rollback."""

from typing import Any

from viberary_pipeline.assets.metadata import page_links
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.errors import GateRefused
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import is_published, publish, save
from viberary_pipeline.quality.baseline import Baseline, save_baseline
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.report.inputs import consistent_tables
from viberary_pipeline.quality.verdict import require_passed
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.resources.home_lock import check_source


# The reports first: a build that nobody can read about does not go live.
@stage(
    group="index",
    kinds={"redis"},
    reads=("search_index", "documents"),
    after=("data_quality_report", "evaluation_report"),
)
def published_index(work: Work) -> Result:
    """viberary:live and viberary:pointer on the gated build; builds older than the previous one are removed."""
    client = work.pipeline.redis
    check_source(work.pipeline.settings, client)
    build = str(work.inputs["search_index"].facts["build"])
    with build_lock(client):
        switched = read_pointer(client).live != build
        if not is_published(client, build):
            publish(client, build, home=work.pipeline.home, public=work.pipeline.settings.sources.public)
        removed = remove_unneeded(client)
        pointer = read_pointer(client)
        # After the removal, so that a restart does not bring removed builds back; and also where nothing was
        # switched: the run before may have been killed between its switch and its save.
        record = read_record(client, build)
        saved = record is not None and bool(record.saved)
        if removed or not saved:
            saved = save(client, build)
    if not saved:
        work.log.warning("Redis did not save: a restart of it goes back to what it saved last")
    _remember(work, build)
    facts: dict[str, Any] = {
        "build": build,
        "switched": switched,
        "previous": pointer.previous or "none",
        "removed": ", ".join(removed) or "none",
        "saved": saved,
    }
    pages = {"report": "report/latest.html", "evaluation": "evaluation/latest.html"}
    home, url = work.pipeline.home, work.pipeline.settings.report.url
    return Result(
        work.note(build, facts),
        f"build {build} is live" + ("" if switched else " already"),
        rows=work.inputs["search_index"].facts["documents"],
        metadata={**facts, **page_links(url, **{name: home / "quality" / page for name, page in pages.items()})},
    )


def _remember(work: Work, build: str) -> None:
    """Keep what the next build's tables are compared with: the profiles of these, unless a check refuses them."""
    store = work.pipeline.store
    try:
        require_passed(store)
    except GateRefused as refusal:
        work.log.warning(
            f"the next build is not compared with these tables: they are not those of the live build: {refusal.what}"
        )
        return
    tables = consistent_tables(store)
    documents = tables.get("documents")
    if documents is None or work.inputs["search_index"].inputs["documents"] != documents.key:
        work.log.warning(
            "the next build is not compared with these tables: they have changed after the live build was made"
        )
        return
    profiles = {table: dict(profiled(store, table, work.pipeline.settings.duckdb).facts) for table in TABLES}
    keys = {table: tables[table].key for table in TABLES}
    save_baseline(work.pipeline.home, Baseline(build, work.pipeline.source_of(documents), profiles, keys))
