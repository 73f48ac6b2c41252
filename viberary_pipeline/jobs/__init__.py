"""Jobs, the schedule that rebuilds, and (`sensors.py`) what watches files, runs and the age of the live build."""

from typing import TYPE_CHECKING

import dagster as dg

from viberary_pipeline.history.rollback import go_back
from viberary_pipeline.notifications import tell
from viberary_pipeline.resources import Pipeline
from viberary_pipeline.resources.run_reporter import in_its_words
from viberary_pipeline.settings import ScheduleSettings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_WRITES = {"viberary/writes": "home"}
"""Runs with this tag wait for each other (`concurrency` in dagster.yaml)."""


def _assets_job(name: str, selection: dg.AssetSelection, description: str) -> "UnresolvedAssetJobDefinition":
    return dg.define_asset_job(name, selection=selection, description=description, tags=_WRITES)


rebuild = _assets_job(
    "rebuild",
    dg.AssetSelection.all() - dg.AssetSelection.groups("tuning"),
    "From the raw files to the published index. Unchanged stages are found again, not redone.",
)
catalogue = _assets_job(
    "catalogue",
    dg.AssetSelection.groups("raw", "catalogue", "documents", "quality"),
    "The tables and documents with their checks and the report; nothing is embedded or published.",
)
reembed = _assets_job(
    "reembed",
    dg.AssetSelection.groups("vectors"),
    "Vectors and the query encoder from the documents as they are; nothing is indexed or published.",
)
reindex = _assets_job(
    "reindex",
    dg.AssetSelection.groups("vectors", "index"),
    "Vectors, encoder and index from the documents as they are, evaluated and published.",
)
evaluate = _assets_job(
    "evaluate",
    dg.AssetSelection.assets("evaluation_report"),
    "The search quality of the last index, beside its baselines, and the report; nothing is published.",
)
publish = _assets_job(
    "publish",
    dg.AssetSelection.assets("published_index"),
    "The last index goes live, if its gates let it: after a rollback, or after the job `evaluate`.",
)
tune = dg.define_asset_job(
    "tune",
    selection=dg.AssetSelection.groups("tuning"),
    description="An encoder tuned on the documents as they are; the config says its name and its requests.",
)


@dg.op(description="The previous build becomes the live one, and the live one the previous.")
def go_back_to_previous(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """See the description."""
    try:
        keep_records, public = pipeline.settings.keep.records, pipeline.settings.sources.public
        back = go_back(pipeline.redis, pipeline.home, keep_records=keep_records, public=public)
    except Exception as error:
        raise in_its_words(error) from error.__cause__
    outcome, *warnings = back.lines()
    context.log.info(outcome)
    for line in warnings:
        context.log.warning(line)
    record = back.record
    tags = {"source": record.source, "encoder": record.encoder, "build": record.build, "verdict": "published"}
    context.instance.add_run_tags(context.run_id, tags)
    tell(pipeline.settings, back.message(context.run_id, run=context.run_id))


@dg.job(description="Back to the previous build, after a check that it is whole. It waits for no other run.")
def rollback() -> None:
    """See the description."""
    go_back_to_previous()


def schedules(settings: ScheduleSettings) -> list[dg.ScheduleDefinition]:
    """The one schedule. Raises `SettingsError` where it is none that cron would take."""
    from dagster._utils.schedules import is_valid_cron_string

    from viberary_pipeline.errors import SettingsError

    if not is_valid_cron_string(settings.cron):
        raise SettingsError(
            "The schedule cannot be used",
            expected="VIBERARY_SCHEDULE_CRON as cron takes it: minute, hour, day, month, weekday",
            found=repr(settings.cron),
            todo="correct it (`0 3 * * 0` is Sundays at 03:00), or unset it",
        )
    return [
        dg.ScheduleDefinition(
            name="weekly_rebuild",
            job=rebuild,
            cron_schedule=settings.cron,
            execution_timezone=settings.timezone,
            description="A rebuild by VIBERARY_SCHEDULE_CRON. Off until it is switched on here.",
        )
    ]


ALL_JOBS: "list[dg.JobDefinition | UnresolvedAssetJobDefinition]" = [
    rebuild,
    catalogue,
    reembed,
    reindex,
    evaluate,
    publish,
    rollback,
    tune,
]
