"""How a stage becomes a Dagster asset: what it reads is handed to it and is its lineage; what shapes it is its key.

A stage is a function of one argument, its `Work`::

    @stage(group="documents", kinds={"duckdb"}, reads=("books", "authors"), code=("documents",))
    def documents(work: Work) -> Result: ...

It may read nothing but the artifacts that `reads` names. `work.produce` finds or makes its artifact: the key holds
the keys of these artifacts, the settings that it is given, and a digest of the files that `code` names
(`code_digest`). `work.note` writes down what a run did where nothing is to be found again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import Artifact, Produced
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.resources import Pipeline


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
        rows: Rows of the artifact, where it has some.
        metadata: What the UI shows.
        checks: The verdicts that it came to.
    """

    made: Produced | Artifact
    message: str
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
            description=description or body.__doc__,
            check_specs=[dg.AssetCheckSpec(check, asset=asset, blocking=True) for check in checks],
        )
        def run(
            context: dg.AssetExecutionContext,
            config: StageConfig,
            pipeline: dg.ResourceParam[Pipeline],
            home_lock: dg.ResourceParam[object],
        ) -> dg.MaterializeResult:
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
            context.log.info(result.message + (" (unchanged)" if reused else ""))
            return dg.MaterializeResult(metadata=_metadata(result, reused), check_results=list(result.checks))

        return run

    return wrap


def check_outcome(outcome: str, *, blocks: bool = True) -> dict[str, Any]:
    """`passed` and `severity` of an asset check, for one of the outcomes passed, failed and not compared.

    What was not compared is a warning, which stops nothing: Dagster knows no third outcome.
    """
    refuses = blocks and outcome == "failed"
    severity = dg.AssetCheckSeverity.ERROR if refuses else dg.AssetCheckSeverity.WARN
    return {"passed": outcome == "passed", "severity": severity}


def _metadata(result: Result, reused: bool) -> dict[str, Any]:
    artifact = result.made.artifact if isinstance(result.made, Produced) else result.made
    rows = {} if result.rows is None else {"dagster/row_count": result.rows}
    return {
        "path": dg.MetadataValue.path(artifact.path),
        "key": artifact.key,
        "reused": reused,
        "seconds": artifact.seconds,
        **rows,
        **result.metadata,
    }
