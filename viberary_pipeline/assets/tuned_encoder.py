"""tuned_encoder: an encoder tuned on this home's documents, in a job of its own: training takes minutes or hours."""

from pathlib import Path

import dagster as dg

from viberary_pipeline.documents.assemble import TABLES
from viberary_pipeline.origin import refresh
from viberary_pipeline.resources import Pipeline
from viberary_pipeline.resources.run_reporter import first_tags
from viberary_pipeline.resources.tuning import document_vectors, trainer
from viberary_pipeline.tuning.gate import DECIDES
from viberary_pipeline.tuning.recipe import Progress
from viberary_pipeline.tuning.run import TuneOptions
from viberary_pipeline.tuning.tune import distil, tune

GATE = "better_than_its_base"


class TuneConfig(dg.Config):
    """What is trained. Files are in pairs, as those of `viberary tune`."""

    out: str = "tuned"
    """What the encoder will be called."""
    base: str = ""
    """What is trained on; empty: VIBERARY_ENCODER."""
    teacher: str = ""
    """An encoder whose order is learned too."""
    student: bool = False
    """Train a small encoder for queries in the teacher's space instead (`viberary distil`)."""
    queries: list[str] = []  # noqa: RUF012  # a pydantic field: copied for each config
    qrels: list[str] = []  # noqa: RUF012
    judge_queries: list[str] = []  # noqa: RUF012
    judge_qrels: list[str] = []  # noqa: RUF012
    refit: bool = False
    """Train an accepted encoder once more, with the requests that were held out."""
    seed: int = 0


@dg.asset(
    group_name="tuning",
    kinds={"pytorch"},
    owners=["team:search"],
    deps=["documents", *TABLES],
    check_specs=[dg.AssetCheckSpec(GATE, asset="tuned_encoder")],
)
def tuned_encoder(
    context: dg.AssetExecutionContext, config: TuneConfig, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult:
    """An adapter in VIBERARY_HOME/encoders/, with its card and the verdict of its gate."""

    context.instance.add_run_tags(context.run_id, first_tags(pipeline.settings))

    def pairs(queries: list[str], qrels: list[str]) -> tuple[tuple[Path, Path], ...]:
        return tuple((Path(one), Path(other)) for one, other in zip(queries, qrels, strict=True))

    def report(progress: Progress) -> None:
        if progress.step % 10 == 0 or progress.step == progress.steps:
            context.log.info(
                f"step {progress.step} of {progress.steps}, {progress.examples_per_second:.1f} pairs/s, "
                f"loss {progress.loss:.3f}"
            )

    outcome = (distil if config.student else tune)(
        refresh(pipeline.home),
        TuneOptions(
            config.out,
            config.base or pipeline.settings.encoder,
            config.teacher,
            requests=pairs(config.queries, config.qrels),
            judged=pairs(config.judge_queries, config.judge_qrels),
            refit=config.refit,
            seed=config.seed,
            most_tokens=pipeline.recipe.max_tokens,
        ),
        standing=pipeline.judged,
        document_vectors=document_vectors(pipeline),
        say=context.log.info,
        report=report,
        trainer=trainer(pipeline),
    )
    result = outcome.result
    context.log.info(f"{result['name']}: {result['verdict']}; {result['reason']}")
    figures = {
        f"ndcg_10_{name.replace(' ', '_').replace('.', '_')}": judged[DECIDES]["after"][0]
        for name, judged in result["sets"].items()
    }
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(pipeline.home / "encoders" / result["name"]),
            "verdict": result["verdict"],
            "reason": result["reason"],
            "pairs_per_second": result["training"]["pairs_per_second"],
            "peak_mb": result["peak_mb"],
            **figures,
            "facts": dg.MetadataValue.json(result),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=GATE,
                passed=outcome.accepted,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"reason": result["reason"]},
            )
        ],
    )
