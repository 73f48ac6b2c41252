"""`viberary build`: the job that the Dagster UI and the schedule run, run in this process."""

import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load_target import ModuleTarget

from viberary_pipeline import errors
from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.assets import BUILD_ASSETS
from viberary_pipeline.assets.stages import way_on
from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.errors import GateRefused, no_room, out_of_room, says_full
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.notifications import Message, tell
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.report.inputs import READ_TABLES
from viberary_pipeline.quality.verdict import validation_stage
from viberary_pipeline.resources.dagster_store import dagster_home, fail_dead_runs, kept_connections
from viberary_pipeline.resources.run_reporter import first_tags
from viberary_pipeline.settings import Settings

__all__ = ["BuildOutcome", "Failure", "dagster_home", "run_build"]

LOCATION = "viberary_pipeline"
"""The code location's name in workspace.yaml."""
_JOB = "rebuild"


@dataclass(frozen=True)
class Failure:
    """What stopped a build: the stage, the message, and the exit code that it calls for."""

    stage: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class BuildOutcome:
    """What a build did. The fields but `failure` are those of `viberary build --json`."""

    build: str
    documents: int
    embedded: int
    reused: int
    rejected: dict[str, int]
    published: bool
    seconds: dict[str, float]
    failure: Failure | None

    def to_json(self) -> dict[str, Any]:
        """The object of `viberary build --json`."""
        return {
            "build": self.build,
            "documents": self.documents,
            "embedded": self.embedded,
            "reused": self.reused,
            "rejected": self.rejected,
            "published": self.published,
            "seconds": self.seconds,
        }


def run_build(settings: Settings, *, force: bool, say: Callable[[str], object] = print) -> BuildOutcome:
    """Run the rebuild job, alone in its home; a failure comes back in the outcome, after Dagster has recorded it.

    What stops it before there is a run is told here; a run tells by itself how it ended.

    Args:
        settings: Those of the run.
        force: Make everything but known embeddings anew.
        say: Takes a line while another build is waited for.

    Raises:
        ViberaryError: the build cannot begin.
    """
    try:
        with hold_home(settings.writable_home(), say=say), _restored("DAGSTER_HOME"):
            return _run(settings, force=force)
    except Exception as error:
        # Dagster's own database: no stage of ours that could have said so.
        full = out_of_room(error, settings.home_dir, Path(tempfile.gettempdir()))
        first, _, rest = str(full or error).partition("\n")
        tell(settings, Message("failure", uuid.uuid4().hex, f"viberary: the build could not run: {first}", rest))
        if full is not None:
            raise full from error
        raise


@contextlib.contextmanager
def _restored(variable: str) -> Iterator[None]:
    """Leave an environment variable as it was: a program may build in several homes, one after the other."""
    before = os.environ.get(variable)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before


def _run(settings: Settings, *, force: bool) -> BuildOutcome:
    dagster_home(settings.home_dir)
    job = build_definitions(settings).resolve_job_def(_JOB)
    stages = [*(asset.node_def.name for asset in BUILD_ASSETS), *(validation_stage(table) for table in TABLES)]
    config = {"ops": {stage: {"config": {"force": force}} for stage in stages}, "loggers": {"console": {}}}
    with dg.DagsterInstance.get() as instance:
        fail_dead_runs(instance)
        # As the UI and the daemon create runs: of the code location that workspace.yaml names. Without it a run is
        # listed, but missing from Overview and from the page of its job.
        with kept_connections():
            run = instance.create_run_for_job(
                job,
                run_config=config,
                tags={**job.run_tags, **first_tags(settings)},
                remote_job_origin=_origin(_JOB),
            )
        result = execute_run(InMemoryJob(job), run, instance)
    return _outcome(ArtifactStore(settings.home_dir), result)


def _origin(job: str) -> RemoteJobOrigin:
    """The job of the code location in workspace.yaml."""
    (location,) = ModuleTarget("viberary_pipeline.definitions", None, str(Path.cwd()), LOCATION).create_origins()
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)


def _outcome(store: ArtifactStore, result: dg.JobExecutionResult) -> BuildOutcome:
    made: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    for event in result.all_events:
        if event.is_step_success and event.step_key:
            seconds[event.step_key] = round(event.step_success_data.duration_ms / 1000, 3)
        if event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            made[materialization.asset_key.to_python_identifier()] = {
                name: value.value for name, value in materialization.metadata.items()
            }
    return BuildOutcome(
        build=str(made.get("search_index", {}).get("build", "")),
        documents=int(made.get("documents", {}).get("dagster/row_count", 0)),
        embedded=int(made.get("embeddings", {}).get("embedded", 0)),
        reused=int(made.get("embeddings", {}).get("reused_texts", 0)),
        rejected=_rejected(store, made),
        published=bool(made.get("published_index", {}).get("switched", False)),
        seconds=seconds,
        failure=None if result.success else _failure(result),
    )


def _rejected(store: ArtifactStore, made: Mapping[str, Any]) -> dict[str, int]:
    """{table.reason: count} over the tables of this run, and over what the joins of documents left out."""
    rejected: dict[str, int] = {}
    for stage, fact in (*((table, "rejected") for table in READ_TABLES), ("documents", "excluded")):
        if stage in made:
            facts = store.current(stage).facts
            rejected |= {f"{stage}.{reason}": count for reason, count in facts[fact].items()}
            rejected |= {f"{stage}.not_read": count for count in [facts.get("not_read", 0)] if count}
    if "openlibrary" in made:
        left_out = store.current("openlibrary").facts.get("works_left_out", {})
        rejected |= {f"openlibrary.filtered_by_{name}": count for name, count in left_out.items()}
    if "documents" in made:
        filtered = store.current("documents").facts["filtered"]
        rejected |= {f"documents.filtered_by_{name}": count for name, count in filtered.items()}
    return rejected


def _failure(result: dg.JobExecutionResult) -> Failure:
    """The first thing that went wrong. A gate that refused is told from a failure by its check's result."""
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                asset, pages = check.asset_key.to_user_string(), check.metadata
                report = f"\n  report {pages['report'].value}" if "report" in pages else ""
                return Failure(
                    asset,
                    f"Refused by the gate {check.check_name} of {asset}; the live index is untouched\n"
                    f"  {check.description}{report}\n  what to do: {way_on(check.check_name)}",
                    GateRefused.exit_code,
                )
        if event.is_step_failure and (error := event.step_failure_data.error) is not None:
            return _failed_stage(event.step_key or "?", error.cause or error, result.run_id)
        if event.is_job_failure and (error := event.job_failure_data.error) is not None:
            return _failed_stage(_JOB, error.cause or error, result.run_id)
    return Failure(_JOB, "the run failed before any stage; see the log above", 1)


def _failed_stage(stage: str, error: Any, run: str) -> Failure:
    """An exception (a SerializableErrorInfo) for people: ours by its message, others with a way on."""
    name = error.cls_name or ""
    if name == "DagsterExecutionInterruptedError":
        return Failure(stage, "interrupted; nothing was published. Build again: finished stages are found again.", 1)
    message = re.sub(rf"^[\w.]*{name}: ", "", error.message.strip())
    if "what to do:" in message:  # one of ours
        known = getattr(errors, name, errors.ViberaryError)
        return Failure(stage, message, known.exit_code)
    if says_full(message, Path(os.environ["DAGSTER_HOME"])):
        return Failure(stage, str(no_room("the disk is full", f"{name}: {message.splitlines()[0][:200]}")), 1)
    where = (error.stack or ["?"])[-1].strip()
    return Failure(stage, f"{name}: {message}\n  at {where}\n  the whole trace: run {run} in the Dagster UI", 1)
