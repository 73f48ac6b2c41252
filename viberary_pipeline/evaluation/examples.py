"""What was asked, wanted and found, in titles: where a build is best, where worst, where it differs from another."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import redis

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.evaluation.scoring import Scored
from viberary_pipeline.evaluation.systems import BM25, PREVIOUS, THIS, VECTORS
from viberary_pipeline.redis_contract import as_text, document_prefix

_EXAMPLES = 5
_TITLES = 3
_AT_ONCE = 1000


def held(client: redis.Redis, build: str, works: Collection[str]) -> set[str]:
    """Those of the works that the build holds."""
    prefix, ordered, found = document_prefix(build), sorted(works), set()
    for start in range(0, len(ordered), _AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        part = ordered[start : start + _AT_ONCE]
        for work in part:
            pipeline.exists(f"{prefix}{work}")
        found |= {work for work, there in zip(part, pipeline.execute(), strict=True) if there}
    return found


class Titles:
    """Titles of works, from the first of these builds that holds them; the work_id where none does."""

    def __init__(self, client: redis.Redis, builds: Sequence[str]) -> None:
        self._client, self._builds = client, builds
        self._known: dict[str, str] = {}

    def __call__(self, works: Iterable[str]) -> list[str]:
        return [self._title(work) for work in works]

    def _title(self, work: str) -> str:
        if work not in self._known:
            read = (self._client.hget(f"{document_prefix(build)}{work}", "title") for build in self._builds)
            self._known[work] = next((as_text(title) for title in read if title), work)
        return self._known[work]


def examples(judged: QuerySet, scored: Sequence[Scored], titles: Titles) -> dict[str, Any]:
    """Queries that show what the figures mean.

    Returns:
        {"best", "worst": of this build; "against": the system it is compared with, "gained", "lost": against that one}:
        lists of up to five {"asked", "kind", "wanted", "found", "rank", and with a comparison "found_before",
        "rank_before"}. Titles are the three best; ranks, from 1, are those of the first right work among ten, or null.
    """
    by_system: dict[str, dict[tuple[str, str, int], Scored]] = {}
    for one in scored:
        by_system.setdefault(one.system, {})[one.query] = one
    ours = by_system.get(THIS, {})
    against = next((name for name in (PREVIOUS, VECTORS, BM25) if name in by_system), "")
    theirs = by_system.get(against, {})

    def shown(one: Scored, other: Scored | None = None) -> dict[str, Any]:
        query = judged.queries[one.number]
        best = sorted((work for work in query.grades if query.grades[work] >= judged.relevant), key=_order(query))
        asked = f"like {titles([query.like])[0]}" if query.like else one.asked
        row: dict[str, Any] = {"asked": asked, "kind": one.kind, "wanted": titles(best[:_TITLES])}
        row |= {"found": titles(one.found[:_TITLES]), "rank": _rank(one, query, judged.relevant)}
        if other is not None:
            row |= {"found_before": titles(other.found[:_TITLES]), "rank_before": _rank(other, query, judged.relevant)}
        return row

    falling = sorted(ours.values(), key=lambda one: -one.figures[0])
    best = [one for one in falling if one.figures[0] > 0][:_EXAMPLES]
    worst = [one for one in falling[::-1] if one not in best and one.figures[0] < 1][:_EXAMPLES]
    gains = {query: one.figures[0] - theirs[query].figures[0] for query, one in ours.items() if query in theirs}
    changed = sorted(gains, key=lambda query: -gains[query])
    gained = [query for query in changed if gains[query] > 0][:_EXAMPLES]
    lost = [query for query in changed[::-1] if gains[query] < 0][:_EXAMPLES]
    return {
        "best": [shown(one) for one in best],
        "worst": [shown(one) for one in worst],
        "against": against,
        "gained": [shown(ours[query], theirs[query]) for query in gained],
        "lost": [shown(ours[query], theirs[query]) for query in lost],
    }


def _order(query: JudgedQuery) -> Any:
    return lambda work: (-query.grades[work], work)


def _rank(one: Scored, query: JudgedQuery, relevant: int) -> int | None:
    ranks = (rank for rank, work in enumerate(one.found, start=1) if query.grades.get(work, 0) >= relevant)
    return next(ranks, None)
