"""The gate of a training: a tuned encoder against its base, a student against its teacher, on works held out and on
judged sets.

Published fine-tunes often lose outside their own data. So an encoder is used only if these figures let it through:

- tuned: nDCG@10 is better than its base's beyond the 95 % interval of the paired difference on one set at least, and
  on none worse beyond it;
- student: on every set its nDCG@10 is at least 98 % of its teacher's.

Neighbours are exact: every work is compared with every query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.encoders.home import ACCEPTED, REFUSED
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.ranking_metrics import DEPTH, bootstrap, ndcg, paired_bootstrap, reciprocal_rank, success

DECIDES = "ndcg@10"
LEAST_OF_TEACHER = 0.98
_FIGURES = {DECIDES: lambda found, grades, _: ndcg(found, grades), "mrr@10": reciprocal_rank, "success@10": success}
_QUERIES_AT_ONCE = 512

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Compared:
    """One figure of two encoders over one set: mean and 95 % interval of each, and of the paired difference."""

    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True)
class SetFigures:
    """The figures of one set by name (`ndcg@10`, `mrr@10`, `success@10`)."""

    name: str
    queries: int
    figures: Mapping[str, Compared]

    def to_json(self) -> dict[str, Any]:
        """`queries`, and each figure's `before`, `after` and `difference`: [mean, low, high]."""
        figures = {
            name: {
                part: [round(value, 4) for value in getattr(found, part)] for part in ("before", "after", "difference")
            }
            for name, found in self.figures.items()
        }
        return {"queries": self.queries, **figures}


@dataclass(frozen=True)
class Verdict:
    """`accepted` or `refused`, and why in a sentence."""

    verdict: str
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether the encoder may be used by its name."""
        return self.verdict == ACCEPTED


def found_by(
    queries: NDArray[np.float32], documents: NDArray[np.float32], works: Sequence[str], depth: int = DEPTH
) -> list[list[str]]:
    """The works nearest to each query by cosine similarity, best first; of equals, the one that stands first.

    Args:
        queries: float32 (queries, dimensions), norm 1.
        documents: float32 (works, dimensions), norm 1.
        works: work_ids.
        depth: How many.
    """
    found = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scores = queries[start : start + _QUERIES_AT_ONCE] @ documents.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        found += [[works[row] for row in rows] for rows in order]
    return found


def compare(judged: QuerySet, before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]) -> SetFigures:
    """The figures of two encoders over one set.

    Args:
        judged: The set, of one query at least.
        before: What the base, or the teacher, finds for each of its queries.
        after: What the new encoder finds.
    """
    figures = {}
    for name, figure in _FIGURES.items():
        old, new = (
            [figure(found, query.grades, judged.relevant) for query, found in zip(judged.queries, answers, strict=True)]
            for answers in (before, after)
        )
        figures[name] = Compared(bootstrap(old), bootstrap(new), paired_bootstrap(new, old))
    return SetFigures(judged.name, len(judged.queries), figures)


def judge_tuned(sets: Sequence[SetFigures]) -> Verdict:
    """Whether a tuned encoder takes the place of its base."""
    better = [found for found in sets if found.figures[DECIDES].difference[1] > 0]
    worse = [found for found in sets if found.figures[DECIDES].difference[2] < 0]
    if worse:
        return Verdict(REFUSED, f"worse than its base: {_sentence(worse)}")
    if not better:
        return Verdict(
            REFUSED, f"no better than its base beyond the interval: {_sentence(sets) or 'no set to judge by'}"
        )
    return Verdict(ACCEPTED, f"better than its base: {_sentence(better)}")


def judge_student(sets: Sequence[SetFigures]) -> Verdict:
    """Whether a student stands in for its teacher."""
    short = [
        found for found in sets if found.figures[DECIDES].after[0] < LEAST_OF_TEACHER * found.figures[DECIDES].before[0]
    ]
    if short or not sets:
        return Verdict(
            REFUSED, f"less than {LEAST_OF_TEACHER:.0%} of its teacher's: {_sentence(short) or 'no set to judge by'}"
        )
    return Verdict(ACCEPTED, f"at least {LEAST_OF_TEACHER:.0%} of its teacher's: {_sentence(sets)}")


def _sentence(sets: Sequence[SetFigures]) -> str:
    return "; ".join(
        f"nDCG@10 on {found.name} {compared.after[0]:.3f} instead of {compared.before[0]:.3f} "
        "({:+.3f}, 95 % interval {:+.3f} to {:+.3f}, ".format(*compared.difference)
        + f"{found.queries:,} queries)"
        for found in sets
        for compared in [found.figures[DECIDES]]
    )
