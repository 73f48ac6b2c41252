"""A sensor that leaves no machine behind a run that failed or was cancelled."""

import logging

import dagster as dg

from viberary_pipeline.embedding.embed import end_abandoned
from viberary_pipeline.resources import Pipeline
from viberary_pipeline.tuning.remote import end_abandoned_trainings


def end_machines(pipeline: Pipeline, log: logging.Logger | None = None) -> list[str]:
    """End what runs for jobs and trainings whose process is dead, and machines of ours whose time is over; returns
    their names."""
    running = pipeline.executor
    ended = end_abandoned(pipeline.home / "jobs", pipeline.jobs, running)
    ended += end_abandoned_trainings(pipeline.home, running)
    ended += [machine.id for machine in running.reap()]
    if log is not None and ended:
        log.warning(f"ended after a failed run: {', '.join(ended)}")
    return ended


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    name="machines_of_failed_runs",
    description="After a run that failed: ends machines of AWS that it left, and those whose time is over.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def machines_of_failed_runs(context: dg.RunStatusSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """See the description."""
    end_machines(pipeline, context.log)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="machines_of_cancelled_runs",
    description="The same after a run that was cancelled.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def machines_of_cancelled_runs(context: dg.RunStatusSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """See the description."""
    end_machines(pipeline, context.log)


ALL_SENSORS = [machines_of_failed_runs, machines_of_cancelled_runs]
