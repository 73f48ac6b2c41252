"""The lock of the home as a resource: opened before the first stage of a run, closed after the last."""

from collections.abc import Iterator

import dagster as dg

from viberary_pipeline.embedding.executors.choice import check_executor
from viberary_pipeline.encoders.files import check_encoder
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.index.preflight import check_usable
from viberary_pipeline.redis_server import connect
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.settings import Settings

_TO_THE_INDEX = ("rebuild", "reindex")


def check_ready(settings: Settings) -> None:
    """Raise, before the first stage, for what would otherwise be noticed after hours: the executor, encoder, Redis.

    Raises:
        ViberaryError: what is missing, and what to do.
    """
    check_executor(settings)
    check_encoder(settings.encoder, settings.home_dir)
    if settings.query.encoder:
        Pipeline(settings).query_encoder  # noqa: B018  # raises where it cannot be had, or is of another space
    check_usable(connect(settings))


def home_lock(settings: Settings) -> dg.ResourceDefinition:
    """The resource `home_lock`: held while a run of any stage or check goes on in this process."""

    @dg.resource(description="One home, one build at a time: a second run waits until the first has ended.")
    def lock(context: dg.InitResourceContext) -> Iterator[None]:
        if context.dagster_run is not None and context.dagster_run.job_name in _TO_THE_INDEX:
            check_ready(settings)
        with hold_home(settings.writable_home(), say=context.log.info if context.log else print):
            yield

    return lock
