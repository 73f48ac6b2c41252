"""The gate of an evaluation: a build that finds worse than the live one is not published."""

import math
from collections.abc import Collection, Sequence

from viberary_pipeline.evaluation.scoring import Scored
from viberary_pipeline.evaluation.systems import PREVIOUS, THIS
from viberary_pipeline.index.gate import GateResult

GATE = "evaluation"


def gate_evaluation(scored: Sequence[Scored], guards: Collection[str], most_loss: float) -> GateResult:
    """Whether nDCG@10 fell by at most `most_loss` below that of the build before, in the set where it fell most.

    Each set of `guards` counts by its mean over the queries that both builds answered; without a build before, the
    gate passes.
    """
    compared = [name for name in _compared(scored) if name in guards]
    losses = {name: _mean(scored, name, PREVIOUS) - _mean(scored, name, THIS) for name in compared}
    worst = max(losses, key=lambda name: losses[name], default="")
    loss = losses.get(worst, 0.0)
    where = f"{worst}: {_mean(scored, worst, THIS):.4f}, before {_mean(scored, worst, PREVIOUS):.4f}" if worst else ""
    return GateResult(
        GATE,
        not math.isnan(loss) and loss <= most_loss,
        round(loss, 5),
        most_loss,
        f"nDCG@10 lost at most against the published build ({where or 'there is none to compare with'})",
    )


def _compared(scored: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(one.set for one in scored if one.system == PREVIOUS))


def _mean(scored: Sequence[Scored], name: str, system: str) -> float:
    both = {one.asked for one in scored if one.set == name and one.system == PREVIOUS}
    figures = [one.figures[0] for one in scored if one.set == name and one.system == system and one.asked in both]
    return sum(figures) / len(figures) if figures else math.nan
