"""The figures of search quality, per query, and their means with bootstrap intervals.

Definitions are those of trec_eval (nDCG with linear gains and a logarithmic discount), so that figures compare.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

DEPTH = 10
RECALL_DEPTH = 100
_DRAWS = 2000

Grades = Mapping[str, int]
"""{work_id: grade}; a work that is not in it has grade 0."""


def ndcg(found: Sequence[str], grades: Grades, depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain of the first `depth` results, in [0, 1] (Järvelin & Kekäläinen 2002).

    The gain of a result is its grade, its discount 1 / log2(rank + 1); 1.0 is the best order that there is.
    """
    ideal = _discounted(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:depth])
    return _discounted([max(grades.get(work, 0), 0) for work in found[:depth]]) / ideal if ideal else 0.0


def ndcg_of_scores(
    scores: npt.NDArray[np.floating], gains: npt.NDArray[np.floating], depth: int = DEPTH
) -> npt.NDArray[np.float64]:
    """The same for many queries at once and gains of any size: float (queries,), in [0, 1].

    Args:
        scores: (queries, items): what ranks them, largest first.
        gains: (queries, items), 0 or more: what each is worth. A query without any has 1.0.
        depth: Items of each ranking that count.
    """
    depth = min(depth, scores.shape[1])
    discounts = 1 / np.log2(np.arange(2, depth + 2))

    def gained(ranked_by: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        best = np.argsort(-ranked_by, axis=1)[:, :depth]
        return np.asarray((np.take_along_axis(gains, best, axis=1) * discounts).sum(axis=1), dtype=np.float64)

    ideal = gained(gains)
    return np.divide(gained(scores), ideal, out=np.ones_like(ideal), where=ideal > 0)


def reciprocal_rank(found: Sequence[str], grades: Grades, least: int = 1, depth: int = DEPTH) -> float:
    """1 / rank of the first result with at least that grade, 0 if none is among the first `depth`."""
    ranks = (rank for rank, work in enumerate(found[:depth], start=1) if grades.get(work, 0) >= least)
    return 1.0 / next(ranks, float("inf"))


def recall(found: Sequence[str], grades: Grades, least: int = 1, depth: int = RECALL_DEPTH) -> float:
    """Share of the works with at least that grade that are among the first `depth`; of at most `depth` of them."""
    wanted = {work for work, grade in grades.items() if grade >= least}
    return len(wanted & set(found[:depth])) / min(len(wanted), depth) if wanted else 0.0


def success(found: Sequence[str], grades: Grades, least: int = 1, depth: int = DEPTH) -> float:
    """1.0 if a work with at least that grade is among the first `depth`, else 0.0."""
    return float(reciprocal_rank(found, grades, least, depth) > 0)


def bootstrap(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """(mean, low, high): the mean over queries and its 95 % percentile interval; the same values, the same figures."""
    array = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(array), size=(_DRAWS, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), (2.5, 97.5))
    return float(array.mean()), float(low), float(high)


def paired_bootstrap(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high) of `ours` - `theirs`, two figures of each query in one order, with its 95 % interval.

    Queries differ far more than systems do, so that the difference is drawn query by query. An interval that holds 0
    says that these queries cannot tell the two apart.

    Raises:
        ValueError: not one figure of each for every query, or no query.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"expected two figures of each query, found {len(ours)} and {len(theirs)}")
    return bootstrap(np.subtract(ours, theirs))


def _discounted(gains: Sequence[int]) -> float:
    return float(sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1)))
