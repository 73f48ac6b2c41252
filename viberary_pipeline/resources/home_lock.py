"""The lock of the home as a resource: opened before the first stage of a run, closed after the last."""

from collections.abc import Iterator

import dagster as dg

from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.settings import Settings


def home_lock(settings: Settings) -> dg.ResourceDefinition:
    """The resource `home_lock`: held while a run of any stage or check goes on in this process."""

    @dg.resource(description="One home, one build at a time: a second run waits until the first has ended.")
    def lock(context: dg.InitResourceContext) -> Iterator[None]:
        with hold_home(settings.writable_home(), say=context.log.info if context.log else print):
            yield

    return lock
