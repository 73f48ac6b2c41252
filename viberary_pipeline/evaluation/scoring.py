"""Runs systems over sets of queries and sums up: figures with their intervals, by kind, and query by query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.evaluation.systems import System
from viberary_pipeline.ranking_metrics import bootstrap, ndcg, recall, reciprocal_rank

METRICS = ("ndcg@10", "mrr@10", "recall@100", "top3")
_DIGITS = 4


@dataclass(frozen=True)
class Scored:
    """One query answered by one system: the set, the kind, what was asked, and the four figures in [0, 1]."""

    set: str
    kind: str
    asked: str
    system: str
    figures: tuple[float, float, float, float]


def evaluate(systems: Sequence[System], sets: Sequence[QuerySet]) -> list[Scored]:
    """Every query of every set, answered by every system that can."""
    scored: list[Scored] = []
    for judged in sets:
        for query in judged.queries:
            for system in systems:
                found = system.answer(query)
                if found is None:
                    continue
                grades, least = query.grades, judged.relevant
                rank = reciprocal_rank(found, grades, least)
                figures = (ndcg(found, grades), rank, recall(found, grades, least), float(rank >= 1 / 3))
                asked = query.text or f"like {query.like}"
                scored.append(Scored(judged.name, query.kind, asked, system.name, figures))
    return scored


def summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """{set: {"queries": n, "systems": {system: {metric: [mean, low, high]}}, "kinds": {kind: {"queries": n, "systems":
    {system: {metric: mean}}}}}}; the interval is the 95 % bootstrap interval over queries.

    `top3` is the share of queries with a right work among the first three.
    """
    sets: dict[str, Any] = {}
    for name in dict.fromkeys(one.set for one in scored):
        of_set = [one for one in scored if one.set == name]
        kinds = {}
        for kind in dict.fromkeys(one.kind for one in of_set):
            of_kind = [one for one in of_set if one.kind == kind]
            kinds[kind] = {"queries": _queries(of_kind), "systems": _figures(of_kind, interval=False)}
        sets[name] = {"queries": _queries(of_set), "systems": _figures(of_set, interval=True), "kinds": kinds}
    return sets


def by_query(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """One object per query: set, kind, asked, {system: {metric: figure}}."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in scored:
        row = rows.setdefault(
            (one.set, one.kind, one.asked), {"set": one.set, "kind": one.kind, "asked": one.asked, "systems": {}}
        )
        row["systems"][one.system] = {
            metric: round(figure, _DIGITS) for metric, figure in zip(METRICS, one.figures, strict=True)
        }
    return list(rows.values())


def _figures(scored: Sequence[Scored], *, interval: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for system in dict.fromkeys(one.system for one in scored):
        columns = zip(*(one.figures for one in scored if one.system == system), strict=True)
        figures[system] = {
            metric: [round(value, _DIGITS) for value in bootstrap(column)]
            if interval
            else round(sum(column) / len(column), _DIGITS)
            for metric, column in zip(METRICS, columns, strict=True)
        }
    return figures


def _queries(scored: Sequence[Scored]) -> int:
    return len({(one.kind, one.asked) for one in scored})
