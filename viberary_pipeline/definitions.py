"""The one place where settings become resources, assets, checks and jobs."""

from datetime import timedelta

import dagster as dg

from viberary_pipeline.assets import ALL_ASSETS
from viberary_pipeline.checks import table_checks
from viberary_pipeline.jobs import ALL_JOBS, schedules
from viberary_pipeline.jobs.sensors import sensors
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.resources import home_lock, pipeline_resource
from viberary_pipeline.resources.console import stage_console
from viberary_pipeline.settings import Settings, load_settings

_WEEK_AND_A_DAY = 8 * 24


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster runs, wired for these settings."""
    return dg.Definitions(
        assets=[_fresh(asset, settings.notify.late_hours) for asset in ALL_ASSETS],
        asset_checks=table_checks(settings.quality.bounds or BOUNDS, accept_drift=settings.accept_drift),
        jobs=ALL_JOBS,
        schedules=schedules(settings.schedule),
        sensors=sensors(settings),
        loggers={"console": stage_console},
        # One process: the stages wait for each other anyway, and a process per stage costs seconds each. The lock of
        # the home is held by it from the first stage to the last.
        executor=dg.in_process_executor,
        resources={"pipeline": pipeline_resource(settings), "home_lock": home_lock(settings)},
    )


def _fresh(asset: dg.AssetsDefinition, late_hours: float) -> dg.AssetsDefinition:
    """The published index is to be looked at by a build once a week, or as often as messages are asked for."""
    if asset.key != dg.AssetKey("published_index"):
        return asset
    window = timedelta(hours=late_hours or _WEEK_AND_A_DAY)
    policy = dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window * 0.9)
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(freshness_policy=policy))


defs = build_definitions(load_settings())
