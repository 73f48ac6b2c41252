"""Jobs, the weekly schedule, and (`sensors.py`) what ends the machines of failed or cancelled runs."""

import dagster as dg

rebuild = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("tuning"),
    description="From the raw files to the published index. Unchanged stages are found again, not redone.",
)

catalogue = dg.define_asset_job(
    "catalogue",
    selection=dg.AssetSelection.groups("raw", "catalogue", "documents", "quality"),
    description="The tables and documents with their checks and the report; nothing is embedded or published.",
)

reindex = dg.define_asset_job(
    "reindex",
    selection=dg.AssetSelection.groups("vectors", "index"),
    description="Vectors, encoder and index from the documents as they are.",
)

tune = dg.define_asset_job(
    "tune",
    selection=dg.AssetSelection.groups("tuning"),
    description="An encoder tuned on the documents as they are; the config says its name and its requests.",
)

weekly = dg.ScheduleDefinition(
    name="weekly_rebuild",
    job=rebuild,
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    description="Sundays at 03:00 UTC. Off until it is switched on in the UI.",
)

ALL_JOBS = [rebuild, catalogue, reindex, tune]
ALL_SCHEDULES = [weekly]
