"""evaluation_report: how well the new index finds, beside its baselines; worse than the live one, it is refused."""

import dagster as dg

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.evaluation_gate import GATE
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.seed_baseline import seed_vectors
from viberary_pipeline.evaluation.systems import THIS
from viberary_pipeline.index.clean import remove_build
from viberary_pipeline.index.contract import read_pointer, read_record
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.resources import Encoder, SearchIndex, Storage

_NO_BOUND = 1.0


@dg.asset(
    deps=["search_index", "documents", "books"],
    group_name="index",
    kinds={"redis"},
    check_specs=[dg.AssetCheckSpec(GATE, asset="evaluation_report", blocking=True)],
)
def evaluation_report(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder, index: SearchIndex
) -> dg.MaterializeResult:
    """quality/evaluation/latest.html: known items, weak labels and, on the bundled sample, the golden set."""
    client = index.client()
    build = storage.store.current("search_index").facts["build"]
    record = read_record(client, build)
    if record is None:
        raise IndexBuildError(
            f"Build {build} is gone",
            expected="the build of search_index, in Redis",
            found="no record of it",
            todo="materialize search_index again",
        )
    pointer = read_pointer(client)
    is_live = pointer.live == build
    before = read_record(client, pointer.previous if is_live else pointer.live)

    def run(out: object) -> dict[str, object]:
        evaluated = evaluate_build(
            client,
            storage.path,
            record,
            before,
            query_sets(storage.path, index.evaluation_items),
            tuning=index.tuning,
            # What is live was let through when it was published: it is measured, not refused.
            most_loss=_NO_BOUND if is_live else index.gate_evaluation,
            seed=seed_vectors(storage.path, encoder.name, encoder.rules, storage.limits, embed=None),
        )
        page = write_report(storage.path, evaluated.result)
        return {**{k: v for k, v in evaluated.result.items() if k != "queries"}, "page": str(page)}

    produced = storage.store.produce(
        "evaluation_report",
        inputs={"search_index": build, "before": before.build if before else ""},
        settings={"asked": digest([index.evaluation_items, repr(index.tuning), index.gate_evaluation])},
        build=run,
        force=config.force,
    )
    facts = produced.artifact.facts
    gate = facts["gate"]
    if not gate["passed"]:
        with build_lock(client):
            remove_build(client, build)
    found = {name: judged["systems"][THIS]["ndcg@10"][0] for name, judged in facts["sets"].items()}
    context.log.info(
        f"{'fit to be published' if gate['passed'] else 'refused'}; nDCG@10: "
        + ", ".join(f"{name} {figure:.3f}" for name, figure in found.items())
        + (" (unchanged)" if produced.reused else "")
    )
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "report": dg.MetadataValue.path(facts["page"]),
            **{f"ndcg_10_{name.replace(' ', '_')}": figure for name, figure in found.items()},
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=GATE,
                passed=gate["passed"],
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"figure": gate["figure"], "bound": gate["bound"], "means": gate["means"]},
            )
        ],
    )
