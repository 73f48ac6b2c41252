"""How an encoder is trained, in numbers. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class FitSettings:
    """How an encoder is trained.

    Attributes:
        learning_rate: AdamW's, at its height.
        epochs: How often each example is seen.
        batch: Examples of a step.
        part: Texts that are embedded at a time: memory grows with it, the result does not change.
        warm_up: Share of the steps in which the learning rate rises; in the rest it falls to 0.
        weight_decay: AdamW's.
        seed: Of the order and of every choice.
    """

    learning_rate: float = 1e-3
    epochs: int = 2
    batch: int = 128
    part: int = 32
    warm_up: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0

    def steps(self, examples: int) -> int:
        """How many steps that many examples take."""
        return -(-examples // self.batch) * self.epochs


@dataclass(frozen=True)
class Recipe:
    """A whole training.

    Attributes:
        objective: `find` the documents of queries, or `imitate` a teacher's vectors of them.
        rank: Of the adapters on each linear layer.
        word_rank: Of the adapter on the word vectors; 0: they stay.
        scale: What their products are multiplied by.
        max_tokens: Where texts are cut in training, if that is below the base's limit.
        sharpness: What cosine similarities are multiplied by before the softmax.
        teacher_weight: Of the loss of a teacher's order, beside that of the requests.
        projection: Dimensions of a linear layer after the pooling; 0: none.
        kept: The layers of the base's transformer that are kept; none named: all.
        fit: The loop.
    """

    objective: Literal["find", "imitate"] = "find"
    rank: int = 16
    word_rank: int = 0
    scale: float = 2.0
    max_tokens: int = 192
    sharpness: float = 20.0
    teacher_weight: float = 2.0
    projection: int = 0
    kept: tuple[int, ...] = ()
    fit: FitSettings = field(default_factory=FitSettings)


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `loss` is a running mean."""

    step: int
    steps: int
    loss: float
    examples_per_second: float
