"""The gate of an evaluation: a build that answers judged queries worse than the live one is not published."""

from collections.abc import Collection, Sequence

from viberary_pipeline.evaluation.scoring import Scored
from viberary_pipeline.evaluation.systems import PREVIOUS, THIS
from viberary_pipeline.index.gate_result import EVALUATION, GateResult


def gate_evaluation(
    scored: Sequence[Scored], guards: Collection[str], most_loss: float, *, why_not: str = ""
) -> GateResult:
    """Whether nDCG@10 fell by at most `most_loss` below that of the build before, in the set where it fell most.

    Args:
        scored: What both builds answered.
        guards: The sets that count, each by its mean over the queries that both builds answered.
        most_loss: In [0, 1].
        why_not: Why no build is compared with, where that is known.
    """
    figures: dict[str, dict[str, dict[tuple[str, str], float]]] = {}
    for one in scored:
        if one.set in guards and one.system in (THIS, PREVIOUS):
            figures.setdefault(one.set, {THIS: {}, PREVIOUS: {}})[one.system][one.kind, one.asked] = one.figures[0]
    means: dict[str, tuple[float, float]] = {}
    for name, answered in figures.items():
        if both := answered[THIS].keys() & answered[PREVIOUS].keys():
            now, then = (sum(answered[system][asked] for asked in both) / len(both) for system in (THIS, PREVIOUS))
            means[name] = (now, then)
    if not means:
        why = why_not or "the published build holds the right answers of no query"
        return GateResult.not_compared(EVALUATION, most_loss, why)
    worst = max(means, key=lambda name: means[name][1] - means[name][0])
    now, then = means[worst]
    return GateResult.judged(
        EVALUATION,
        then - now <= most_loss,
        round(then - now, 5),
        most_loss,
        f"nDCG@10 lost at most against the published build ({worst}: {now:.4f}, before {then:.4f})",
    )
