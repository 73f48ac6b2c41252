"""The training loop: batches of an objective, in bounded memory, seeded, resumable.

A batch is embedded in parts (GradCache: Gao et al., 2021, arXiv:2101.06983): once without gradients for the loss, then
part by part with the gradients that the loss has for its vectors. So memory depends on the size of a part, and a loss
may compare a hundred queries with hundreds of documents on a small machine.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from viberary_pipeline.tuning.recipe import FitSettings, Progress
from viberary_pipeline.tuning.trainable import Tokens, TrainableEncoder


class Objective(Protocol):
    """What is trained for. `apart`: its loss is a mean over examples, none of which looks at another."""

    apart: bool

    def __len__(self) -> int:
        """How many examples there are."""

    def texts(self, rows: Sequence[int], rng: random.Random) -> tuple[list[Tokens], Callable[[Tensor], Tensor]]:
        """What a batch embeds, and its loss, given these vectors."""


def fit(
    encoder: TrainableEncoder,
    objective: Objective,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    identity: str = "",
    seconds_between_checkpoints: float = 60.0,
    report: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Train the encoder in place.

    Args:
        encoder: What is trained.
        objective: The examples and their loss.
        settings: How.
        checkpoint: A file from which a killed training goes on; removed at the end.
        identity: Names the data and the settings: a checkpoint with another one is not used.
        seconds_between_checkpoints: How much work a kill may cost.
        report: Called after every step.
    """
    trained = encoder.trained()
    optimizer = torch.optim.AdamW(trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    per_epoch = -(-len(objective) // settings.batch)
    steps = settings.steps(len(objective))
    identity = f"{identity} {asdict(settings)}"
    done = _resume(checkpoint, identity, trained, optimizer)
    loss_mean, started, saved, seen = 0.0, time.monotonic(), time.monotonic(), 0
    order: list[int] = []
    for step in range(done, steps):
        epoch, at = divmod(step, per_epoch)
        # The order of an epoch and the choices of a step depend on the seed alone, so a resumed run repeats them.
        if not order or at == 0:
            order = list(range(len(objective)))
            random.Random(f"{settings.seed}/{epoch}").shuffle(order)
        rows = order[at * settings.batch : (at + 1) * settings.batch]
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, steps, settings.warm_up)
        optimizer.zero_grad(set_to_none=True)
        rng = random.Random(f"{settings.seed}/step/{step}")
        backward = _backward_apart if objective.apart else _backward
        loss = backward(encoder, objective, rows, rng, settings.part)
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        seen += len(rows)
        loss_mean = loss if step == done else 0.95 * loss_mean + 0.05 * loss
        report(Progress(step + 1, steps, loss_mean, seen / (time.monotonic() - started)))
        if checkpoint is not None and time.monotonic() - saved > seconds_between_checkpoints:
            _save(checkpoint, identity, step + 1, trained, optimizer)
            saved = time.monotonic()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)


def _backward_apart(
    encoder: TrainableEncoder, objective: Objective, rows: Sequence[int], rng: random.Random, part: int
) -> float:
    """As `_backward`; each part has its own loss, so nothing is embedded twice."""
    texts, _ = objective.texts(rows, rng)
    total: Tensor | float = 0.0
    for numbers in encoder.in_parts(texts, part):
        some, loss_of = objective.texts([rows[number] for number in numbers], rng)
        with parametrize.cached():
            vectors = encoder(some)
        loss = loss_of(vectors) * (len(numbers) / len(rows))
        loss.backward()
        total = total + loss.detach()  # a number only at the end: a GPU is not waited for between parts
    return float(total)


def _backward(
    encoder: TrainableEncoder, objective: Objective, rows: Sequence[int], rng: random.Random, part: int
) -> float:
    """Add the gradients of a batch's loss to the trained parameters; returns the loss."""
    texts, loss_of = objective.texts(rows, rng)
    parts = encoder.in_parts(texts, part)
    with torch.no_grad(), parametrize.cached():
        pieces = [encoder([texts[row] for row in rows]) for rows in parts]
    back = torch.tensor([row for rows in parts for row in rows], device=pieces[0].device).argsort()
    vectors = torch.cat(pieces)[back].requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for rows in parts:
        with parametrize.cached():
            piece = encoder([texts[row] for row in rows])
        piece.backward(vectors.grad[rows])
    return float(loss.detach())


def _rate(step: int, steps: int, warm_up: float) -> float:
    """The learning rate as a share of its height."""
    rising = max(1, round(steps * warm_up))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def _save(
    path: Path, identity: str, step: int, trained: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "identity": identity,
        "step": step,
        "trained": {name: value.detach() for name, value in trained.items()},
        "optimizer": optimizer.state_dict(),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(
    path: Path | None, identity: str, trained: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> int:
    """Load a checkpoint of this very training, if there is one; returns how many steps it has done."""
    if path is None or not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a file of another kind or damaged: torch and pickle raise many kinds
        return 0
    if state.get("identity") != identity:
        return 0
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(state["trained"][name])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
