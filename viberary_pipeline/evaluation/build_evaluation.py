"""The evaluation of one build: its sets, what it is compared with, and everything that the report shows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis

from viberary_pipeline.artifacts import Artifact
from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.evaluation.evaluation_gate import gate_evaluation
from viberary_pipeline.evaluation.inputs import table_of
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.evaluation.scoring import Scored, by_query, evaluate, summary
from viberary_pipeline.evaluation.seed_baseline import SeedVectors
from viberary_pipeline.evaluation.sweep import sweep
from viberary_pipeline.evaluation.systems import (
    PREVIOUS,
    THIS,
    VECTORS,
    QueryVectors,
    System,
    bm25_system,
    build_system,
    seed_systems,
)
from viberary_pipeline.evaluation.weak_labels import weak_sets
from viberary_pipeline.index.gate_result import GateResult
from viberary_pipeline.redis_contract import BuildRecord, document_prefix, lost_because
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings

_SWEEP_QUERIES = 100


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found: JSON of everything, and the gate's verdict."""

    result: dict[str, Any]
    gate: GateResult


def query_sets(home: Path, documents: Artifact, most: int, judged: Sequence[QuerySet] = ()) -> list[QuerySet]:
    """The sets that the documents of a build give, and their books: known items, weak labels.

    Args:
        home: VIBERARY_HOME.
        documents: As `documents_of` finds them.
        most: Queries per kind of known item, and per weak set.
        judged: Sets of judgements, each used where it judges works of these documents alone.

    Raises:
        EvaluationError: the books that the documents were made from are not in this home.
    """
    path = documents.file("documents.parquet")
    works = pq.read_table(path, columns=["work_id"])["work_id"].to_pylist()
    books = table_of(home, documents, "books")
    recipe = RECIPES.get(documents.settings.get("recipe", ""))  # none where another version made them
    judges = recipe is None or not recipe.embeds_shelves
    return [
        *(given for given in judged if given.judges(works)),
        known_items(path, most),
        *weak_sets(books.file("books.parquet"), works, most, shelves=judges),
    ]


def evaluate_build(
    client: redis.Redis,
    home: Path,
    record: BuildRecord,
    before: BuildRecord | None,
    sets: Sequence[QuerySet],
    *,
    tuning: SearchSettings,
    most_loss: float,
    seed: SeedVectors | None,
) -> Evaluated:
    """Evaluate a build, published or not, beside BM25, its vectors alone, the seed's recipe and `before`, the build
    that is compared with.

    Raises:
        EncoderError: the query encoder of the build is not in this home.
    """
    vectors = QueryVectors(QueryEncoder(encoder_folder(home, record)))
    systems = [
        build_system(THIS, client, record, vectors, tuning),
        build_system(VECTORS, client, record, vectors, SearchSettings(lexical_weight=0, find_names=False)),
        bm25_system(client, record),
    ]
    if seed is not None and seed.vectors.shape[1] == record.dim:
        systems += seed_systems(seed.works, seed.vectors, vectors)
    scored, why_not = evaluate(systems, sets), "no build is live"
    if before is not None:
        of_before, why_not = _scored_before(client, home, before, sets, tuning)
        scored += of_before
    guards = {judged.name for judged in sets if judged.guards}
    gate = gate_evaluation(scored, guards, most_loss, why_not=why_not)
    asked = [vectors(query.text) for judged in sets for query in judged.queries if query.text][:_SWEEP_QUERIES]
    return Evaluated(
        {
            "build": record.build,
            "documents": record.documents,
            "encoder": record.encoder,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "compared_with": before.build if before else "",
            "tuning": asdict(tuning),
            "sets": summary(scored),
            "gate": gate.to_json(),
            "ef_runtime": [asdict(point) for point in sweep(client, record, np.array(asked, dtype=np.float32))],
            "queries": by_query(scored),
        },
        gate,
    )


def _scored_before(
    client: redis.Redis, home: Path, before: BuildRecord, sets: Sequence[QuerySet], tuning: SearchSettings
) -> tuple[list[Scored], str]:
    """The build before on the queries whose right answers it holds: works that are new are no fault of it.

    Returns:
        Its figures; or none, and why it cannot be asked.
    """
    if lost := lost_because(client, before.build):
        return [], f"the build {before.build} cannot be asked: {lost}"
    try:
        encoder = QueryEncoder(encoder_folder(home, before))
    except EncoderError as error:
        return [], f"the build {before.build} cannot be asked: {error.what}"
    system: System = build_system(PREVIOUS, client, before, QueryVectors(encoder), tuning)
    prefix = document_prefix(before.build)
    fair = []
    for judged in sets:
        works = sorted({work for query in judged.queries for work in (*query.grades, query.like) if work})
        pipeline = client.pipeline(transaction=False)
        for work in works:
            pipeline.exists(f"{prefix}{work}")
        held = {work for work, there in zip(works, pipeline.execute(), strict=True) if there}
        queries = tuple(query for query in judged.queries if {*query.grades, query.like} - {""} <= held)
        fair.append(QuerySet(judged.name, queries, judged.relevant))
    return evaluate([system], fair), ""
