"""The lock of the home as a resource: opened before the first stage of a run, closed after the last."""

from collections.abc import Iterator

import dagster as dg
import redis

from viberary_pipeline.embedding.executors.choice import check_executor
from viberary_pipeline.encoders.files import check_encoder
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.index.preflight import check_usable
from viberary_pipeline.origin import refresh
from viberary_pipeline.quality.baseline import Source, load_baseline
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.resources.dagster_store import kept_connections, prune_runs
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.resources.run_record import recorded, recording_failure
from viberary_pipeline.resources.run_reporter import RunReporter, in_its_words, untouched_is_no_error
from viberary_pipeline.settings import Settings
from viberary_pipeline.sources.licences import licences_of, require_public
from viberary_pipeline.sources.raw_files import check_present, source_at

_TO_THE_INDEX = ("rebuild", "reindex")
_OWN: tuple[Source, ...] = ("given", "openlibrary", "both")
"""The sources of builds that the bundled sample never replaces."""


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


def check_source(settings: Settings, client: redis.Redis) -> None:
    """Raise where the bundled sample would replace a catalogue of somebody's own: VIBERARY_RAW was forgotten.

    Raises:
        SettingsError: the live build, or the last one of a home whose Redis is empty, is of files, and none are set.
    """
    if settings.source != "sample":
        return
    live = read_record(client, read_pointer(client).live)
    kept = (load_baseline(settings.home_dir, source).baseline for source in _OWN) if live is None else ()
    own = next((build for build in (live, *kept) if build is not None and build.source in _OWN), None)
    if own is not None:
        raise SettingsError(
            "The bundled sample would replace a catalogue of your own",
            expected=f"VIBERARY_RAW to be set, as the build {own.build} was made from files of yours",
            found="no VIBERARY_RAW, which means the bundled sample; the live index is untouched",
            todo="set VIBERARY_RAW for this process (cron, the Dagster UI and its daemon do not see what you set in "
            "your shell), or build the sample in another VIBERARY_HOME, with a Redis of its own",
        )


def check_files_may_be_served(settings: Settings) -> None:
    """Raise, before the first stage, where the index is for the public and the raw files are not.

    Raises:
        GateRefused: VIBERARY_SOURCES_PUBLIC is set, and a source may not be served.
        RawDataError, StorageError: the raw files cannot be listed.
    """
    if settings.sources.public and settings.raw is not None:
        source = source_at(settings.raw)
        require_public(licences_of(source, settings.sources.licence), f"An index of {settings.raw}")


def _reads_files(run: dg.DagsterRun) -> bool:
    """Whether the run has a stage that reads the raw files: one may be a part of its job."""
    if run.step_keys_to_execute is not None:
        return any(step.startswith("raw_") for step in run.step_keys_to_execute)
    if run.asset_selection is not None:
        return any(asset.to_python_identifier().startswith("raw_") for asset in run.asset_selection)
    return run.job_name in ("rebuild", "catalogue")


def home_lock(settings: Settings) -> dg.ResourceDefinition:
    """The resource `home_lock`: held while a run of any stage or check goes on in this process; the run's reporter."""

    @dg.resource(description="One home, one build at a time: a second run waits until the first has ended.")
    def lock(context: dg.InitResourceContext) -> Iterator[RunReporter]:
        run = context.dagster_run
        reporter = RunReporter(settings, context.instance, run.run_id if run is not None else "")
        untouched_is_no_error(context.log)
        try:
            try:
                with recording_failure(settings, run):
                    if run is not None and run.job_name in _TO_THE_INDEX:
                        refresh(settings.home_dir)  # encoders and baselines of a home in S3
                        check_ready(settings)
                    if run is not None and settings.raw is not None and _reads_files(run):
                        check_present(settings.raw, mixed_dates=settings.openlibrary.mixed_dates)
                    # The stages of the index ask again.
                    if run is not None and run.job_name == "rebuild":
                        check_files_may_be_served(settings)
                        check_source(settings, connect(settings))
            except Exception as error:
                reporter.failed("before the first stage", error)
                raise in_its_words(error) from error.__cause__
            say = context.log.info if context.log else print
            with hold_home(settings.writable_home(), say=say), recorded(run, context.instance, settings, reporter):
                _prune(context, settings.runs.kept)
                with kept_connections():
                    yield reporter
        finally:
            reporter.close()

    return lock


def _prune(context: dg.InitResourceContext, kept: int) -> None:
    """Delete old runs; no build fails for it."""
    if context.instance is not None and context.dagster_run is not None:
        try:
            prune_runs(context.instance, kept)
        except Exception as error:
            if context.log is not None:
                context.log.warning(f"old runs cannot be deleted: {str(error).splitlines()[0]}")
