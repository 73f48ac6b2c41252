"""The evaluation of one build: its sets, what it is compared with, and everything that the report shows."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.evaluation.evaluation_gate import gate_evaluation
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import QuerySet, golden_set
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
from viberary_pipeline.index.contract import BuildRecord, document_prefix, index_info
from viberary_pipeline.index.gate import GateResult
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings

log = logging.getLogger(__name__)
_SWEEP_QUERIES = 100


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found: JSON of everything, and the gate's verdict."""

    result: dict[str, Any]
    gate: GateResult


def query_sets(home: Path, most: int) -> list[QuerySet]:
    """The sets that the documents and books of a home give: the golden one (bundled sample), known items, weak labels.

    Args:
        home: VIBERARY_HOME.
        most: Queries per kind of known item, and per weak set.
    """
    store = ArtifactStore(home)
    documents = store.current("documents").file("documents.parquet")
    works = pq.read_table(documents, columns=["work_id"])["work_id"].to_pylist()
    golden = golden_set(works)
    books = store.current("books").file("books.parquet")
    return [*([golden] if golden else []), known_items(documents, most), *weak_sets(books, works, most)]


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
    """Evaluate a build, published or not, beside BM25, its vectors alone, the seed's recipe and the build before.

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
    scored = evaluate(systems, sets)
    if before is not None and index_info(client, before.build) is not None:
        scored += _scored_before(client, home, before, sets, tuning)
    gate = gate_evaluation(scored, {judged.name for judged in sets if judged.guards}, most_loss)
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
) -> list[Scored]:
    """The build before on the queries whose right answers it holds: works that are new are no fault of it.

    Nothing if its query encoder is not in this home: then it cannot be asked.
    """
    try:
        encoder = QueryEncoder(encoder_folder(home, before))
    except EncoderError as error:
        log.warning("the build before is not compared with: %s", error.what)
        return []
    system: System = build_system(PREVIOUS, client, before, QueryVectors(encoder), tuning)
    prefix = document_prefix(before.build)
    fair = []
    for judged in sets:
        works = sorted({work for query in judged.queries for work in (*query.grades, query.like) if work})
        pipeline = client.pipeline(transaction=False)
        for work in works:
            pipeline.exists(f"{prefix}{work}")
        held = {work for work, there in zip(works, pipeline.execute(), strict=True) if there}
        queries = tuple(
            query for query in judged.queries if {*query.grades, *([query.like] if query.like else [])} <= held
        )
        fair.append(QuerySet(judged.name, queries, judged.relevant))
    return evaluate([system], fair)
