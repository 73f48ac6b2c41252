"""The evaluation of one build: its sets, what it is compared with, and everything that the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis

from viberary_pipeline.artifacts import Artifact
from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError, EvaluationError
from viberary_pipeline.evaluation.evaluation_gate import gate_evaluation
from viberary_pipeline.evaluation.examples import Titles, examples, held
from viberary_pipeline.evaluation.inputs import table_of
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet, named_apart
from viberary_pipeline.evaluation.scoring import Scored, by_query, differences, evaluate, summary
from viberary_pipeline.evaluation.seed_baseline import SeedVectors
from viberary_pipeline.evaluation.sweep import sweep
from viberary_pipeline.evaluation.systems import (
    PREVIOUS,
    THIS,
    VECTORS,
    Answers,
    QueryVectors,
    System,
    bm25_system,
    build_system,
    giving_up,
    remembering,
    seed_systems,
)
from viberary_pipeline.evaluation.weak_labels import weak_sets
from viberary_pipeline.index.gate_result import GateResult
from viberary_pipeline.ranking_metrics import DEPTH
from viberary_pipeline.redis_contract import BuildRecord, lost_because
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings

_SWEEP_QUERIES = 100
_ANSWERS_KEPT = 150


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found: JSON of everything, the gate's verdict, and what the build answered to each query."""

    result: dict[str, Any]
    gate: GateResult
    answers: Answers


def query_sets(
    home: Path, documents: Artifact, most: int, limits: DuckLimits, scratch: Path, judged: Sequence[QuerySet] = ()
) -> list[QuerySet]:
    """The sets that the documents of a build give, and their books: known items, weak labels.

    Args:
        home: VIBERARY_HOME.
        documents: As `documents_of` finds them.
        most: Queries per kind of known item, and per weak set.
        limits, scratch: DuckDB's.
        judged: Sets of judgements, each used where it judges works of these documents alone.

    Raises:
        EvaluationError: the books that the documents were made from are not in this home.
    """
    path = documents.file("documents.parquet")
    works = _held_of(path, {work for given in judged for work in given.works})
    books = table_of(home, documents, "books")
    recipe = RECIPES.get(documents.settings.get("recipe", ""))  # none where another version made them
    judges = recipe is None or not recipe.embeds_shelves
    return [
        *(given for given in judged if given.judges(works)),
        known_items(path, most),
        *weak_sets(books.file("books.parquet"), path, most, limits, scratch, shelves=judges),
    ]


def _held_of(documents: Path, works: set[str]) -> set[str]:
    """Those of `works` that the documents hold."""
    with pq.ParquetFile(documents) as file:
        portions = file.iter_batches(columns=["work_id"]) if works else ()
        return {work for portion in portions for work in portion["work_id"].to_pylist() if work in works}


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
    given: Sequence[QuerySet] = (),
    baselines: Sequence[System] = (),
    rules: Mapping[str, SearchSettings] | None = None,
    not_measured: Mapping[str, str] | None = None,
    canaries: Sequence[str] = (),
    answers_before: Answers | None = None,
) -> Evaluated:
    """Evaluate a build, published or not, beside BM25, its vectors alone, the seed's recipe and `before`, the build
    that is compared with.

    Args:
        client, home, record, before: The server, VIBERARY_HOME, the build, and the other one.
        sets: Of this build's own works.
        tuning: How the build searches.
        most_loss: Of nDCG@10, against `before`, in [0, 1].
        seed: The original system's vectors.
        given: Sets of files, each asked as far as this build holds its works (`QuerySet.within`).
        baselines: More systems.
        rules: Other settings of the search, by name, for the same build.
        not_measured: Systems that are missing, and why.
        canaries: More queries whose first ten are kept (`answers`).
        answers_before: What `before` answers by the same settings, as far as known.

    Raises:
        EncoderError: the query encoder of the build is not in this home.
        EvaluationError: there are no other sets than `given`, and this build answers no query of them.
    """
    missing = dict(not_measured or {})
    vectors = QueryVectors(QueryEncoder(encoder_folder(home, record)))
    answers: Answers = {}
    given_up: dict[str, str] = {}
    systems = [
        remembering(build_system(THIS, client, record, vectors, tuning), answers),
        build_system(VECTORS, client, record, vectors, SearchSettings(lexical_weight=0, find_names=False)),
        giving_up(bm25_system(client, record), given_up),
        *(build_system(name, client, record, vectors, rule) for name, rule in (rules or {}).items()),
        *baselines,
    ]
    if seed is not None and seed.vectors.shape[1] == record.dim:
        systems += seed_systems(seed.works, seed.vectors, vectors)
    covered, files = _within(client, record, named_apart(given, (judged.name for judged in sets)))
    sets = [*sets, *covered]
    if given and not sets:
        raise EvaluationError(
            f"Build {record.build} answers no query of these files",
            expected="judgements of works that the build holds, by work_id",
            found=", ".join(
                f"{name}: {of['missing']:,} of {of['works']:,} works missing" for name, of in files.items()
            ),
            todo="check that the judgements are of this catalogue",
        )
    # What a system answered before it was given up is no fair part of a set.
    scored = [one for one in evaluate(systems, sets) if one.system not in given_up]
    missing |= given_up
    why_not = "no build was live before"
    if before is not None:
        of_before, why_not = _scored_before(client, home, before, sets, tuning, vectors, dict(answers_before or {}))
        scored += of_before
        missing |= {PREVIOUS: why_not} if why_not else {}
    guards = {judged.name for judged in sets if judged.guards}
    gate = gate_evaluation(scored, guards, most_loss, why_not=why_not)
    asked = [vectors(query.text) for judged in sets for query in judged.queries if query.text][:_SWEEP_QUERIES]
    titles = Titles(client, [record.build, *([before.build] if before else [])])
    # A query that asks for works like one is named by that work's title.
    like = dict.fromkeys(query.like for judged in sets for query in judged.queries if query.like)
    named = {f"like {work}": f"like {title}" for work, title in zip(like, titles(like), strict=True)}
    figures = summary(scored)
    for judged in sets:
        if judged.name in figures:
            of_set = [one for one in scored if one.set == judged.name]
            figures[judged.name] |= {
                "compared": differences(of_set, THIS),
                "examples": examples(judged, of_set, titles),
            }
    return Evaluated(
        {
            "build": record.build,
            "documents": record.documents,
            "encoder": record.encoder,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "compared_with": before.build if before else "",
            "tuning": asdict(tuning),
            "sets": figures,
            "files": files,
            "not_measured": missing,
            "gate": gate.to_json(),
            "ef_runtime": [asdict(point) for point in sweep(client, record, np.array(asked, dtype=np.float32))],
            "answers": _answers(systems[0], canaries, scored),
            "queries": [{**row, "asked": named.get(row["asked"], row["asked"])} for row in by_query(scored)],
        },
        gate,
        answers,
    )


def _answers(build: System, canaries: Sequence[str], scored: Sequence[Scored]) -> dict[str, list[str]]:
    """{query: the first ten work_ids}, so that a later build can be compared after this one is gone."""
    ours = [one for one in scored if one.system == build.name]
    by_set = [[one for one in ours if one.set == name] for name in dict.fromkeys(one.set for one in ours)]
    # The sets in turns, so that a large one leaves room for the others.
    turns = [one for turn in zip_longest(*by_set) for one in turn if one is not None]
    asked = {query: (build.answer(JudgedQuery(query, "canary", {})) or [])[:DEPTH] for query in canaries}
    return {**{one.asked: list(one.found) for one in turns[:_ANSWERS_KEPT]}, **asked}


def _within(
    client: redis.Redis, record: BuildRecord, given: Sequence[QuerySet]
) -> tuple[list[QuerySet], dict[str, dict[str, int]]]:
    """The sets that the build can answer in part, and {set: its coverage} of all."""
    sets, files = [], {}
    for judged in given:
        within, coverage = judged.within(held(client, record.build, judged.works))
        files[judged.name] = asdict(coverage)
        if within.queries:
            sets.append(within)
    return sets, files


def _scored_before(
    client: redis.Redis,
    home: Path,
    before: BuildRecord,
    sets: Sequence[QuerySet],
    tuning: SearchSettings,
    vectors: QueryVectors,
    answers: Answers,
) -> tuple[list[Scored], str]:
    """The build before on the queries whose right answers it holds: works that are new are no fault of it.

    `vectors` are those of the new build's encoder, which are used again if it is the same one. `answers` are known.

    Returns:
        Its figures; or none, and why it cannot be asked.
    """
    if lost := lost_because(client, before.build):
        return [], f"the build {before.build} cannot be asked: {lost}"
    try:
        folder = encoder_folder(home, before)
        if folder != vectors.encoder.folder:
            vectors = QueryVectors(QueryEncoder(folder))
    except EncoderError as error:
        return [], f"the build {before.build} cannot be asked: {error.what}"
    system = remembering(build_system(PREVIOUS, client, before, vectors, tuning), answers)
    there = held(client, before.build, {work for judged in sets for work in judged.works})

    def fair(query: JudgedQuery) -> bool:
        return {work for work, grade in query.grades.items() if grade > 0} | {query.like} - {""} <= there

    return evaluate([system], sets, fair), ""
