"""`viberary evaluate`: the live build, beside another build and the original system."""

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from viberary_pipeline.artifacts import Artifact
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.inputs import documents_of, report_on
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.evaluation.seed_baseline import SeedVectors
from viberary_pipeline.evaluation.systems import WORD2VEC, System
from viberary_pipeline.evaluation.word2vec_baseline import MOST_WORKS, word2vec_system
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.redis_contract import BuildRecord, lost_because, read_pointer, read_record
from viberary_pipeline.search.weights import SearchSettings

Seed = Callable[[BuildRecord, Artifact], SeedVectors | None]


def evaluate_live(
    client: redis.Redis,
    home: Path,
    *,
    own: Sequence[QuerySet],
    judged: Sequence[QuerySet],
    most: int,
    limits: DuckLimits,
    tuning: SearchSettings,
    most_loss: float,
    seed: Seed | None,
    given: Sequence[QuerySet] = (),
    against: str = "",
    rules: Mapping[str, SearchSettings] | None = None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate the live build on the sets that its own documents give and those `given`, or on `own` alone.

    Args:
        client: The server.
        home: VIBERARY_HOME.
        own: Sets that are asked alone; they need no documents.
        judged, most, limits: As for `query_sets`.
        tuning, most_loss, given, rules: As for `evaluate_build`.
        seed: Gives the original system's vectors of a build and its documents; None: no baseline is made that has to
            be trained or embedded.
        against: The build to compare with; '' for the previous one.

    Returns:
        The figures, and the page that shows them.

    Raises:
        EvaluationError: nothing is published, the live build is lost, its documents are not in this home, there is no
            build `against`, or no query has an answer.
    """
    pointer = read_pointer(client)
    lost = lost_because(client, pointer.live) if pointer.live else ""
    record = read_record(client, pointer.live)
    if record is None or lost:
        raise EvaluationError(
            f"The live build {pointer.live} is lost" if lost else "Nothing is published yet",
            expected="a live build to evaluate",
            found=lost or "none",
            todo="run `viberary build`",
        )
    before = read_record(client, against or pointer.previous)
    if against and (before is None or before.build == record.build):
        others = [build for build in known_builds(client) if build != record.build]
        raise EvaluationError(
            f"There is no build {against} to compare with" if before is None else f"{against} is the live build itself",
            expected="a build that Redis still holds, other than the live one",
            found=", ".join(others) or "the live build alone",
            todo="give --against one of these, or leave it out",
        )
    compared, baselines, not_measured = None, [], {}
    # Own judgements need no documents: then what is made of them is left out where they are not here.
    with contextlib.suppress(EvaluationError) if own else contextlib.nullcontext():
        documents = documents_of(home, record)
        if seed:
            compared = seed(record, documents)
            system = _word2vec(documents)
            if isinstance(system, System):
                baselines = [system]
            else:
                not_measured = {WORD2VEC: system}
    with tempfile.TemporaryDirectory(prefix="viberary-") as scratch:
        sets = [] if own else query_sets(home, documents, most, limits, Path(scratch), judged)
    evaluated = evaluate_build(
        client,
        home,
        record,
        before,
        sets,
        tuning=tuning,
        most_loss=most_loss,
        seed=compared,
        given=own or given,
        baselines=baselines,
        rules=rules,
        not_measured=not_measured,
    )
    return evaluated.result, write_report(home, evaluated.result, report_on(home, record.documents_key))


def _word2vec(documents: Artifact) -> System | str:
    """The baseline, or why there is none."""
    path = documents.file("documents.parquet")
    if (works := pq.read_metadata(path).num_rows) > MOST_WORKS:
        return f"not trained on {works:,} works: at most {MOST_WORKS:,}"
    table = pq.read_table(path, columns=["work_id", "text"])
    try:
        return word2vec_system(table["work_id"].to_pylist(), table["text"].to_pylist())
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: pip install 'viberary-pipeline[evaluation]'"
