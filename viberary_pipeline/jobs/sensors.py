"""Sensors: new raw files, runs that failed or whose process is gone, machines that they left, a build that is late."""

import logging
from datetime import UTC, datetime, timedelta

import dagster as dg

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.embedding.embed import end_abandoned
from viberary_pipeline.errors import ArtifactError, ViberaryError
from viberary_pipeline.jobs import rebuild
from viberary_pipeline.notifications import Message, tell
from viberary_pipeline.origin import refresh
from viberary_pipeline.resources import Pipeline
from viberary_pipeline.resources.dagster_store import fail_dead_runs
from viberary_pipeline.resources.run_reporter import run_message
from viberary_pipeline.settings import Settings
from viberary_pipeline.sources.raw_files import listing_digest
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


@dg.run_failure_sensor(
    name="failed_runs_told",
    description="After a run that failed: sends the message of it, unless the run sent it itself.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def failed_runs_told(context: dg.RunFailureSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """See the description."""
    run = context.dagster_run
    tags = {"verdict": "failed"} | dict(run.tags)
    context.instance.add_run_tags(run.run_id, {"verdict": tags["verdict"]})
    why = str(context.failure_event.message)
    if "from outside" in why:  # in Dagster's words: "has been marked as failed from outside the execution context"
        why = "its process was killed, or lost with a restart\nBuild again: finished stages are found again."
    if message := run_message(run.run_id, tags, f"{run.job_name}: {why}"):
        tell(pipeline.settings, message)


@dg.sensor(
    name="runs_without_a_process",
    description="Marks runs as failed whose process was killed or lost with a restart: others would wait for them.",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def runs_without_a_process(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """See the description."""
    dead = fail_dead_runs(context.instance)
    return dg.SkipReason(f"marked as failed: {', '.join(dead)}" if dead else "every run that goes on has its process")


@dg.sensor(
    name="late_build",
    description="Sends a message where no build was finished for VIBERARY_NOTIFY_LATE_HOURS.",
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def late_build(pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """See the description."""
    message = late_message(pipeline.settings)
    if message is None:
        return dg.SkipReason("no build is late")
    tell(pipeline.settings, message)
    return dg.SkipReason(message.title)


def late_message(settings: Settings, now: datetime | None = None) -> Message | None:
    """What is to be told where no build has got as far as its publish for too long; None where none is late.

    A build that found nothing changed counts: what was looked at lately is fresh.
    """
    hours = settings.notify.late_hours
    if not hours:
        return None
    try:
        last = ArtifactStore(refresh(settings.home_dir)).current("published_index")
    except ArtifactError:
        return None  # none was ever finished here: there is nothing to be late for
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(last.created)
    if age <= timedelta(hours=hours):
        return None
    build = str(last.facts["build"])
    title = f"viberary: no build was finished for {age.total_seconds() / 3600:,.0f} hours"
    text = f"At most {hours:g} hours are allowed (VIBERARY_NOTIFY_LATE_HOURS). Build {build} stays live."
    return Message("late", f"late after {last.created}", title, text, {"build": build, "finished": last.created})


def new_raw_files(settings: Settings) -> dg.SensorDefinition:
    """The sensor of that name, which looks as often as the settings say."""

    @dg.sensor(
        name="new_raw_files",
        job=rebuild,
        description="Rebuilds when what a build reads in VIBERARY_RAW has changed (of Open Library: a whole month), "
        "and has stayed as it is between two looks. Off until it is switched on here.",
        minimum_interval_seconds=settings.schedule.files_seconds,
    )
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if settings.raw is None:
            return dg.SkipReason("VIBERARY_RAW is not set: the bundled sample does not change")
        try:
            now = listing_digest(settings.raw, mixed_dates=settings.openlibrary.mixed_dates)
        except ViberaryError as error:
            return dg.SkipReason(str(error))
        built, _, seen = (context.cursor or "").partition(" ")
        if not context.cursor:
            context.update_cursor(f"{now} {now}")
            return dg.SkipReason("these files are taken as built; the next change starts a run")
        if now == built:
            return dg.SkipReason("nothing has changed")
        if now != seen:
            context.update_cursor(f"{built} {now}")
            return dg.SkipReason("something has changed, and may still be changing: the next look decides")
        context.update_cursor(f"{now} {now}")
        return dg.RunRequest()

    return look


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """All of them."""
    return [
        machines_of_failed_runs,
        machines_of_cancelled_runs,
        failed_runs_told,
        runs_without_a_process,
        late_build,
        new_raw_files(settings),
    ]
