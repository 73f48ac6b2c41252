"""evaluation_report: how well the new index answers judged queries; one that is worse than the live one is refused."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.metadata import page_links
from viberary_pipeline.assets.search_index import gate_check
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.documents.assemble import TABLES
from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.inputs import documents_of, report_on
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.systems import THIS, Answers
from viberary_pipeline.index.gate_result import EVALUATION, GateResult
from viberary_pipeline.index.publish import record_verdict
from viberary_pipeline.quality.verdict import current_artifact
from viberary_pipeline.redis_contract import BuildRecord, read_pointer, read_record
from viberary_pipeline.resources.seed import seed_of

_NO_BOUND = 1.0
_ANSWERS = "answers.json"


@stage(
    group="index",
    kinds={"redis"},
    reads=("search_index", "documents", "query_encoder", *TABLES),
    code=("evaluation", "search", "ranking_metrics.py", "sample/golden.toml"),
    checks=(EVALUATION,),
)
def evaluation_report(work: Work) -> Result:
    """quality/evaluation/latest.html: known items, weak labels, judged files; on the sample, the golden set."""
    pipeline, settings, client = work.pipeline, work.pipeline.settings, work.pipeline.redis
    build = work.inputs["search_index"].facts["build"]
    record = read_record(client, build)
    if record is None:
        raise IndexBuildError(
            f"Build {build} has been removed",
            expected="the build of search_index, in Redis",
            found="no record of it",
            todo="materialize search_index again",
        )
    pointer = read_pointer(client)
    is_live = pointer.live == build
    baseline = read_record(client, pointer.previous if is_live else pointer.live)
    given = pipeline.given_judgements

    def evaluate(out: Path) -> dict[str, Any]:
        documents = documents_of(pipeline.home, record)
        evaluated = evaluate_build(
            client,
            pipeline.home,
            record,
            baseline,
            query_sets(pipeline.home, documents, settings.evaluation.items, settings.duckdb, out, pipeline.judged),
            tuning=settings.search,
            # What is live was let through when it was published: it is measured, not refused.
            most_loss=_NO_BOUND if is_live else settings.gate.evaluation,
            seed=seed_of(pipeline, record, documents, embed_new=False),
            given=given,
            canaries=[canary.query for canary in pipeline.canaries],
            answers_before=answers_of(work, baseline) if baseline else None,
        )
        kept = [[*asked, found] for asked, found in evaluated.answers.items()]
        (out / _ANSWERS).write_text(json.dumps(kept), encoding="utf-8")
        page = write_report(pipeline.home, evaluated.result, report_on(pipeline.home, record.documents_key))
        return {
            **{k: v for k, v in evaluated.result.items() if k != "queries"},
            "page": os.path.relpath(page, pipeline.home),
        }

    made = work.produce(
        evaluate,
        build=build,
        baseline=baseline.build if baseline else "",
        items=settings.evaluation.items,
        judged=digest([asdict(judged) for judged in given]),
        search=repr(settings.search),
        gate=settings.gate.evaluation,
    )
    facts = made.artifact.facts
    record_verdict(client, build, GateResult.from_json(facts["gate"]))
    ndcg = {name: judged["systems"][THIS]["ndcg@10"][0] for name, judged in facts["sets"].items()}
    return Result(
        made,
        f"{'refused' if facts['gate']['outcome'] == 'failed' else 'fit to be published'}; nDCG@10: "
        + ", ".join(f"{name} {figure:.3f}" for name, figure in ndcg.items()),
        metadata={
            **page_links(settings.report.url, report=made.artifact.page),
            **{f"ndcg_10_{name.replace(' ', '_')}": figure for name, figure in ndcg.items()},
        },
        checks=[gate_check(facts["gate"])],
    )


def answers_of(work: Work, build: BuildRecord) -> Answers:
    """What a build answered when it was evaluated; none where that was by other settings or code, or is not known.

    A build never changes, so that its answers need not be asked for again.
    """
    evaluation = current_artifact(work.pipeline.store, work.stage)
    if evaluation is None:
        return {}
    same = {"build": build.build, "search": repr(work.pipeline.settings.search), "code": work.code}
    if any(evaluation.settings.get(name) != value for name, value in same.items()):
        return {}
    rows = json.loads(evaluation.file(_ANSWERS).read_text(encoding="utf-8"))
    return {(text, like): found for text, like, found in rows}
