"""`viberary evaluate`: the live build, beside the build before and the original system."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from viberary_pipeline.artifacts import Artifact
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.queries import QuerySet, trec_set
from viberary_pipeline.evaluation.seed_baseline import SeedVectors
from viberary_pipeline.redis_contract import BuildRecord, lost_because, read_pointer, read_record
from viberary_pipeline.search.weights import SearchSettings

Seed = Callable[[BuildRecord, Artifact], SeedVectors | None]


def evaluate_live(
    client: redis.Redis,
    home: Path,
    *,
    own: tuple[Path, Path] | None,
    judged: Sequence[QuerySet],
    most: int,
    tuning: SearchSettings,
    most_loss: float,
    seed: Seed | None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate the live build on the sets that its own documents give, or on the files `own` alone.

    Args:
        client: The server.
        home: VIBERARY_HOME.
        own: Queries and qrels in TREC's form.
        judged, most: As for `query_sets`.
        tuning, most_loss: As for `evaluate_build`.
        seed: Gives the original system's vectors of a build and its documents; None: it is not compared with.

    Returns:
        The figures, and the page that shows them.

    Raises:
        EvaluationError: nothing is published, the live build is lost, or its documents are not in this home.
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
    compared = None
    # Own judgements need no documents: then the original system is left out where they are not here.
    with contextlib.suppress(EvaluationError) if own else contextlib.nullcontext():
        documents = documents_of(home, record)
        compared = seed(record, documents) if seed else None
    sets = [trec_set(*own)] if own else query_sets(home, documents, most, judged)
    evaluated = evaluate_build(
        client,
        home,
        record,
        read_record(client, pointer.previous),
        sets,
        tuning=tuning,
        most_loss=most_loss,
        seed=compared,
    )
    return evaluated.result, write_report(home, evaluated.result)
