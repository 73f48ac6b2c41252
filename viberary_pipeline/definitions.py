"""The one place where settings become resources, assets, checks and jobs."""

import dagster as dg

from viberary_pipeline.assets import ALL_ASSETS
from viberary_pipeline.checks import table_checks
from viberary_pipeline.jobs import ALL_JOBS, ALL_SCHEDULES
from viberary_pipeline.jobs.sensors import ALL_SENSORS
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.resources import home_lock, pipeline_resource
from viberary_pipeline.resources.console import stage_console
from viberary_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster runs, wired for these settings."""
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=table_checks(settings.quality.bounds or BOUNDS, accept_drift=settings.accept_drift),
        jobs=ALL_JOBS,
        schedules=ALL_SCHEDULES,
        sensors=ALL_SENSORS,
        loggers={"console": stage_console},
        # One process: the stages wait for each other anyway, and a process per stage costs seconds each. The lock of
        # the home is held by it from the first stage to the last.
        executor=dg.in_process_executor,
        resources={"pipeline": pipeline_resource(settings), "home_lock": home_lock(settings)},
    )


defs = build_definitions(load_settings())
