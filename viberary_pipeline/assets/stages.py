"""How a stage becomes a Dagster asset: what it reads is handed to it and is its lineage; what shapes it is its key.

A stage is a function of one argument, its `Work`::

    @stage(group="documents", kinds={"duckdb"}, reads=("books", "authors"), code=("documents",))
    def documents(work: Work) -> Result: ...

It may read nothing but the artifacts that `reads` names. `work.produce` finds or makes its artifact: the key holds
the keys of these artifacts, the settings that it is given, and a digest of the files that `code` names
(`code_digest`). `work.note` writes down what a run did where nothing is to be found again.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import redis

from viberary_pipeline.artifacts import Artifact, Produced
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.errors import GateRefused, StorageError
from viberary_pipeline.resources import Pipeline, RunReporter
from viberary_pipeline.resources.run_reporter import in_its_words

_OWNERS = {
    **dict.fromkeys(("raw", "catalogue", "documents", "quality"), "team:catalogue"),
    **dict.fromkeys(("vectors", "index", "tuning"), "team:search"),
}
"""Who is asked about an asset, by its group."""
_RETRIES = 2
_RETRY_SECONDS = 5


class StageConfig(dg.Config):
    """The one choice a run has per stage."""

    force: bool = False
    """Make the artifact anew even if its inputs and settings have not changed."""


@dataclass(frozen=True)
class Work:
    """One run of one stage.

    Attributes:
        stage: Its name.
        pipeline: The settings, and what they open.
        inputs: The artifacts that it reads, by stage.
        force: Whether to make it anew.
        log: Dagster's logger of the run.
        run_id: Dagster's id of the run.
        code: The digest of the code that shapes it.
        links: Of its files, those that `current/` links to.
    """

    stage: str
    pipeline: Pipeline
    inputs: Mapping[str, Artifact]
    force: bool
    log: Any
    run_id: str
    code: str = ""
    links: Collection[str] = ()

    def produce(self, build: Callable[[Path], Mapping[str, Any]], /, **shaped_by: Any) -> Produced:
        """The stage's artifact: found again, or made by `build` in the empty folder that it is given."""
        return self.pipeline.store.produce(
            self.stage,
            inputs=self.input_keys,
            settings={**shaped_by, "code": self.code},
            build=build,
            force=self.force,
            links=self.links,
        )

    def note(self, key: str, facts: Mapping[str, Any]) -> Artifact:
        """Write down what this run found or did; `key` is what the stages downstream depend on."""
        return self.pipeline.store.note(self.stage, key, inputs=self.input_keys, facts=facts)

    @property
    def input_keys(self) -> dict[str, str]:
        """{stage: key} of what it reads."""
        return {stage: artifact.key for stage, artifact in self.inputs.items()}


@dataclass(frozen=True)
class Result:
    """What a stage says of its run.

    Attributes:
        made: Its artifact.
        message: One line for whoever watches.
        quiet: Whether there was nothing to do, so that the line is of use only with the run's debug messages.
        rows: Rows of the artifact, where it has some.
        metadata: What the UI shows.
        checks: The verdicts that it came to.
    """

    made: Produced | Artifact
    message: str
    quiet: bool = False
    rows: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[dg.AssetCheckResult] = ()


def stage(
    *,
    group: str,
    kinds: set[str],
    reads: Collection[str] = (),
    after: Collection[str] = (),
    code: Sequence[str] = (),
    packages: Sequence[str] = (),
    links: Collection[str] = (),
    checks: Collection[str] = (),
    name: str = "",
    description: str = "",
) -> Callable[[Callable[[Work], Result]], dg.AssetsDefinition]:
    """Make an asset of a stage.

    Args:
        group: The group of the UI.
        kinds: The tags of the UI.
        reads: The stages whose artifacts it reads.
        after: Stages that must have run before, although it reads nothing of them.
        code: The files and folders of this package that shape its artifact.
        packages: The distributions that do.
        links: Of its files, those that `current/` links to.
        checks: Names of the blocking checks whose verdicts it gives.
        name: Of the asset; '' for the function's.
        description: Of the asset; '' for the function's docstring.
    """

    def wrap(body: Callable[[Work], Result]) -> dg.AssetsDefinition:
        asset = name or body.__name__
        digest = code_digest(*code, packages=tuple(packages))  # here, so that a wrong path is no surprise of a run

        @dg.asset(
            name=asset,
            deps=[*reads, *after],
            group_name=group,
            kinds=kinds,
            owners=[_OWNERS[group]],
            code_version=digest if code or packages else None,
            description=description or body.__doc__,
            check_specs=[dg.AssetCheckSpec(check, asset=asset, blocking=True) for check in checks],
        )
        def run(
            context: dg.AssetExecutionContext,
            config: StageConfig,
            pipeline: dg.ResourceParam[Pipeline],
            home_lock: dg.ResourceParam[RunReporter],
        ) -> Iterator[dg.MaterializeResult]:
            started = time.monotonic()
            with in_words(home_lock, asset, context.retry_number):
                result = body(
                    Work(
                        stage=asset,
                        pipeline=pipeline,
                        inputs={read: pipeline.store.current(read) for read in reads},
                        force=config.force,
                        log=context.log,
                        run_id=context.run.run_id,
                        code=digest,
                        links=links,
                    )
                )
            reused = isinstance(result.made, Produced) and result.made.reused
            level = logging.DEBUG if result.quiet else logging.INFO
            context.log.log(level, result.message + (" (unchanged)" if reused else ""))
            home_lock.made(asset, result.metadata)
            yield dg.MaterializeResult(
                metadata=_metadata(result, reused, time.monotonic() - started),
                check_results=list(result.checks),
                # The UI calls what is downstream stale where it was made of another version.
                data_version=dg.DataVersion(_artifact(result).key),
            )
            with in_words(home_lock, asset):
                require_checks(asset, result.checks)

        return run

    return wrap


def check_outcome(outcome: str, *, blocks: bool = True) -> dict[str, Any]:
    """`passed` and `severity` of an asset check, for one of the outcomes passed, failed and not compared.

    What was not compared is a warning, which stops nothing: Dagster knows no third outcome.
    """
    refuses = blocks and outcome == "failed"
    severity = dg.AssetCheckSeverity.ERROR if refuses else dg.AssetCheckSeverity.WARN
    return {"passed": outcome == "passed", "severity": severity}


@contextmanager
def in_words(reporter: RunReporter, stage: str, retried: int = _RETRIES) -> Iterator[None]:
    """What goes wrong inside is noted with the run, and is raised to Dagster as its message alone.

    Args:
        reporter: Of the run.
        stage: Which stage it is.
        retried: How often it was tried before. An error that may pass by itself asks for another try; a refused gate
            or a wrong input never does.
    """
    try:
        yield
    except Exception as error:
        if retried < _RETRIES and _may_pass(error):
            wait = _RETRY_SECONDS * 2**retried
            raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=wait) from error
        reporter.failed(stage, error)
        raise in_its_words(error) from error.__cause__
    except BaseException as interrupt:
        reporter.failed(stage, interrupt)
        raise


def require_checks(asset: str, checks: Sequence[dg.AssetCheckResult]) -> None:
    """Raise where a check failed that blocks. Dagster would do so by itself, in words that name no figure.

    Raises:
        GateRefused: its first line is what the checks found, and their bounds.
    """
    failed = [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
    if failed:
        names = [str(check.check_name) for check in failed]
        raise GateRefused(
            "; ".join(finding(asset, check) for check in failed),
            expected=f"every blocking check of {asset} to pass",
            found=f"{', '.join(names)} failed; the live index is untouched",
            todo=way_on(names[0]),
        )


def finding(asset: str, check: dg.AssetCheckResult) -> str:
    """What a check found, with its name: "books.drift_rows: 120 rows, 240 in the live build; at least 90% ..."."""
    name = f"{asset}.{check.check_name}: "
    return name + (check.description or "failed").removeprefix(name).removeprefix(f"{asset}: ")


def way_on(check: str) -> str:
    """What to do about a refusal by this check."""
    if check.startswith("drift_") or check == "documents_kept":
        return "look at the input; if the change is intended, build once with VIBERARY_ACCEPT_DRIFT=1"
    return "correct the input or, if it is right, the bound; then build again"


def _may_pass(error: BaseException | None) -> bool:
    """Whether the same may go well a few seconds later: a Redis that starts anew, a network.

    An error of ours says so by what it was raised from.
    """
    while error is not None:
        if isinstance(error, StorageError):
            return error.passing
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):
            return not isinstance(error, redis.AuthenticationError)
        error = error.__cause__
    return False


def _artifact(result: Result) -> Artifact:
    return result.made.artifact if isinstance(result.made, Produced) else result.made


def _metadata(result: Result, reused: bool, seconds: float) -> dict[str, Any]:
    artifact = _artifact(result)
    rows = {} if result.rows is None else {"dagster/row_count": result.rows}
    size = sum((artifact.path / name).stat().st_size for name in artifact.files)
    # In this order the UI lists them.
    return {
        **rows,
        **({"bytes": size} if artifact.files else {}),
        **result.metadata,
        "seconds": round(seconds, 3),
        "reused": reused,
        "key": artifact.key,
        "path": dg.MetadataValue.path(artifact.path),
    }
