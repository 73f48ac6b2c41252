"""evaluation_report: how well the new index finds, beside its baselines; worse than the live one, it is refused."""

from pathlib import Path

import dagster as dg

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.common import StageConfig, artifact_metadata, gate_check
from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.queries import judged_set
from viberary_pipeline.evaluation.seed_baseline import seed_vectors
from viberary_pipeline.evaluation.systems import THIS
from viberary_pipeline.index.contract import read_pointer, read_record
from viberary_pipeline.index.gate_result import EVALUATION, GateResult
from viberary_pipeline.index.publish import record_verdict
from viberary_pipeline.resources import Encoder, SearchIndex, Storage

_NO_BOUND = 1.0


@dg.asset(
    deps=["search_index", "documents", "books"],
    group_name="index",
    kinds={"redis"},
    check_specs=[dg.AssetCheckSpec(EVALUATION, asset="evaluation_report", blocking=True)],
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
        documents = documents_of(storage.path, record)
        judged = [judged_set(Path(path)) for path in index.judged]
        evaluated = evaluate_build(
            client,
            storage.path,
            record,
            before,
            query_sets(storage.path, documents, index.evaluation_items, judged),
            tuning=index.tuning,
            # What is live was let through when it was published: it is measured, not refused.
            most_loss=_NO_BOUND if is_live else index.gate_evaluation,
            seed=seed_vectors(
                *(storage.path, record, documents, encoder.name, encoder.rules, storage.limits), embed=None
            ),
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
    record_verdict(client, build, GateResult.from_json(gate))
    ndcg = {name: judged["systems"][THIS]["ndcg@10"][0] for name, judged in facts["sets"].items()}
    context.log.info(
        f"{'refused' if gate['outcome'] == 'failed' else 'fit to be published'}; nDCG@10: "
        + ", ".join(f"{name} {figure:.3f}" for name, figure in ndcg.items())
        + (" (unchanged)" if produced.reused else "")
    )
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "report": dg.MetadataValue.path(facts["page"]),
            **{f"ndcg_10_{name.replace(' ', '_')}": figure for name, figure in ndcg.items()},
        },
        check_results=[gate_check(gate)],
    )
