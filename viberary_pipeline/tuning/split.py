"""Who is trained on and who is judged by: requests and catalogue pairs, divided by the works that they ask for.

A work is kept out of training where its hash says so (`pairs.held_out`) or where a judged set of the gate names it as
an answer. A query that asks for a work that is kept out is not trained on either. One case is milder: where a judged
set names more than a quarter of the catalogue (vibes, on a small one), its works' own words are trained on, which hold
no judgement; requests for them are not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet, trec_set
from viberary_pipeline.tuning.catalogue import Catalogue
from viberary_pipeline.tuning.pairs import Pair, held_out, pairs_of, sampled

HELD_OUT_WORKS, HELD_OUT_REQUESTS = "held-out works", "held-out requests"
_MOST_NAMED = 0.25
_MOST_JUDGED = 2_000
"""Pairs of held-out works that the gate asks: more narrow its interval no further than matters."""

Files = tuple[Path, Path]
"""Queries and qrels, as `trec_set` reads them."""


@dataclass(frozen=True)
class Split:
    """What is trained on and what judges.

    Attributes:
        requests: What readers asked of works that may be trained on.
        every_request: What readers asked of any work.
        pairs: What the catalogue says of them.
        texts: {work_id: text without what its pairs ask}, of all works with pairs.
        sets: What the gate asks: held-out works, held-out requests, judged sets. None is empty.
        unknown: {set: works that it names and the catalogue lacks}, where there are some.
        kept_out: The works of the catalogue whose own words are not trained on.
    """

    requests: tuple[Pair, ...]
    every_request: tuple[Pair, ...]
    pairs: tuple[Pair, ...]
    texts: dict[str, str]
    sets: tuple[QuerySet, ...]
    unknown: dict[str, int]
    kept_out: frozenset[str]


def read_sets(files: Iterable[Files]) -> list[QuerySet]:
    """The judged sets in pairs of files, by distinct names. Raises `EvaluationError` as `trec_set` does."""
    found: list[QuerySet] = []
    for queries, qrels in files:
        judged = trec_set(queries, qrels)
        taken = any(judged.name == other.name for other in found)
        found.append(replace(judged, name=f"{judged.name} of {queries.name}") if taken else judged)
    return found


def answers(sets: Iterable[QuerySet]) -> set[str]:
    """The works that queries of these sets ask for."""
    return {
        work
        for judged in sets
        for query in judged.queries
        for work, grade in query.grades.items()
        if grade >= judged.relevant
    }


def split(catalogue: Catalogue, requests: Sequence[QuerySet], judged: Sequence[QuerySet], *, seed: int = 0) -> Split:
    """Divide what there is.

    Args:
        catalogue: The works.
        requests: Sets to train on.
        judged: Sets to judge by, by names of their own.
        seed: Of the choice of pairs.
    """
    unknown: dict[str, int] = {}
    requests = [_known(one, catalogue.ids, unknown) for one in requests]
    judged = [_known(one, catalogue.ids, unknown) for one in judged]
    out = {work for work in catalogue.ids if held_out(work)}
    not_asked = out | answers(judged)
    kept_out = out.union(*(named for one in judged if len(named := answers([one])) <= _MOST_NAMED * len(catalogue.ids)))
    trained: list[Pair] = []
    every: list[Pair] = []
    kept: list[JudgedQuery] = []
    for one in requests:
        for query in one.queries:
            wanted = sorted(work for work, grade in query.grades.items() if grade >= one.relevant)
            every += [Pair(query.text, work, "request") for work in wanted]
            if not not_asked.isdisjoint(wanted):
                if not out.isdisjoint(wanted):
                    kept.append(replace(query, grades={work: query.grades[work] for work in wanted}))
            else:
                trained += [Pair(query.text, work, "request") for work in wanted]
    pairs: list[Pair] = []
    own: list[Pair] = []
    texts: dict[str, str] = {}
    for work in catalogue.works:
        found, text = pairs_of(work, seed=seed)
        if found:
            texts[work.work_id] = text
        if work.work_id not in kept_out:
            pairs += found
        elif work.work_id in out:
            own += found
    asked = tuple(JudgedQuery(pair.query, pair.kind, {pair.work_id: 1}) for pair in sampled(own, _MOST_JUDGED))
    sets = (QuerySet(HELD_OUT_WORKS, asked), QuerySet(HELD_OUT_REQUESTS, tuple(kept)), *judged)
    return Split(
        tuple(trained),
        tuple(every),
        tuple(pairs),
        texts,
        tuple(one for one in sets if one.queries),
        unknown,
        frozenset(kept_out & catalogue.ids),
    )


def _known(judged: QuerySet, works: Collection[str], unknown: dict[str, int]) -> QuerySet:
    """The set without works that the catalogue lacks, and without queries that are left without an answer."""
    named = {work for query in judged.queries for work in query.grades}
    if missing := len(named - set(works)):
        unknown[judged.name] = missing
    queries = (
        replace(query, grades={work: grade for work, grade in query.grades.items() if work in works})
        for query in judged.queries
    )
    return replace(
        judged,
        queries=tuple(
            query
            for query in queries
            if query.text and any(grade >= judged.relevant for grade in query.grades.values())
        ),
    )
