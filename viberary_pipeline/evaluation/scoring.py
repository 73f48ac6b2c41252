"""Runs systems over sets of queries and sums up: figures with their intervals, by kind, and query by query."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.evaluation.systems import System
from viberary_pipeline.ranking_metrics import DEPTH, bootstrap, ndcg, paired_bootstrap, recall, reciprocal_rank, success

METRICS = ("ndcg@10", "mrr@10", "recall@100", "top3", "success@10")
COMPARED = ("ndcg@10", "mrr@10", "success@10")
_DIGITS = 4
_AT_ONCE = 2


@dataclass(frozen=True)
class Scored:
    """One query answered by one system.

    Attributes:
        set, kind, asked: The set, the kind, and the query in words.
        system: The system's name.
        figures: The `METRICS`, in [0, 1].
        number: The query's place in its set, for two queries of the same words.
        found: The first ten work_ids.
    """

    set: str
    kind: str
    asked: str
    system: str
    figures: tuple[float, ...]
    number: int = 0
    found: tuple[str, ...] = ()

    @property
    def query(self) -> tuple[str, str, int]:
        """What tells the query from others of its set."""
        return self.kind, self.asked, self.number


def evaluate(
    systems: Sequence[System], sets: Sequence[QuerySet], only: Callable[[JudgedQuery], bool] = lambda _: True
) -> list[Scored]:
    """Every query of every set that `only` lets through, answered by every system that can.

    Two queries are on their way at once: while the server answers one, the reply to the other is read.
    """

    def score(asked: tuple[QuerySet, int, JudgedQuery, System]) -> Scored | None:
        judged, number, query, system = asked
        found = system.answer(query)
        if found is None:
            return None
        grades, least = query.grades, judged.relevant
        rank = reciprocal_rank(found, grades, least)
        figures = (
            ndcg(found, grades),
            rank,
            recall(found, grades, least),
            float(rank >= 1 / 3),
            success(found, grades, least),
        )
        return Scored(judged.name, query.kind, query.asked, system.name, figures, number, tuple(found[:DEPTH]))

    asked = (
        (judged, number, query, system)
        for judged in sets
        for system in systems  # one after the other, so that no two encode the same query at once
        for number, query in enumerate(judged.queries)
        if only(query)
    )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [one for one in pool.map(score, asked) if one is not None]


def summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """{set: {"queries": n, "systems": {system: {metric: [mean, low, high]}}, "kinds": {kind: {"queries": n, "systems":
    {system: {metric: mean}}}}}}; the interval is the 95 % bootstrap interval over queries.

    `top3` and `success@10` are the shares of queries with a right work among the first three and the first ten.
    """
    sets: dict[str, Any] = {}
    for name, of_set in _grouped(scored, "set").items():
        kinds = {
            kind: {"queries": _queries(of_kind), "systems": _figures(of_kind, interval=False)}
            for kind, of_kind in _grouped(of_set, "kind").items()
        }
        sets[name] = {"queries": _queries(of_set), "systems": _figures(of_set, interval=True), "kinds": kinds}
    return sets


def differences(scored: Sequence[Scored], this: str) -> dict[str, Any]:
    """What one system gains over each other, on the queries of a set that both answered.

    Returns:
        {other: {"queries": n, metric: [mean, low, high], "better": n, "worse": n, "kinds": {kind: the same}}}: the
        metrics are `COMPARED`, the interval is the 95 % paired bootstrap interval; better and worse count queries by
        nDCG@10. A system that shares no query is left out.
    """
    by_system = {
        system: {one.query: one for one in of_system} for system, of_system in _grouped(scored, "system").items()
    }
    ours = by_system.pop(this, {})
    found = {}
    for other, theirs in by_system.items():
        pairs = [(one, theirs[query]) for query, one in ours.items() if query in theirs]
        if pairs:
            kinds = dict.fromkeys(one.kind for one, _ in pairs)
            of_kinds = {kind: _difference([pair for pair in pairs if pair[0].kind == kind]) for kind in kinds}
            found[other] = {**_difference(pairs), "kinds": of_kinds}
    return found


def _difference(pairs: Sequence[tuple[Scored, Scored]]) -> dict[str, Any]:
    metrics = {}
    for metric in COMPARED:
        at = METRICS.index(metric)
        ours, theirs = ([pair[side].figures[at] for pair in pairs] for side in (0, 1))
        metrics[metric] = [round(value, _DIGITS) for value in paired_bootstrap(ours, theirs)]
    gains = [one.figures[0] - other.figures[0] for one, other in pairs]
    return {
        "queries": len(pairs),
        **metrics,
        "better": sum(gain > 0 for gain in gains),
        "worse": sum(gain < 0 for gain in gains),
    }


def by_query(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """One object per query: set, kind, asked, {system: {metric: figure}}."""
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for one in scored:
        row = rows.setdefault(
            (one.set, *one.query), {"set": one.set, "kind": one.kind, "asked": one.asked, "systems": {}}
        )
        row["systems"][one.system] = {
            metric: round(figure, _DIGITS) for metric, figure in zip(METRICS, one.figures, strict=True)
        }
    return list(rows.values())


def _figures(scored: Sequence[Scored], *, interval: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for system, of_system in _grouped(scored, "system").items():
        columns = zip(*(one.figures for one in of_system), strict=True)
        figures[system] = {
            metric: [round(value, _DIGITS) for value in bootstrap(column)]
            if interval
            else round(sum(column) / len(column), _DIGITS)
            for metric, column in zip(METRICS, columns, strict=True)
        }
    return figures


def _grouped(scored: Iterable[Scored], by: str) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(getattr(one, by), []).append(one)
    return groups


def _queries(scored: Sequence[Scored]) -> int:
    return len({one.query for one in scored})
