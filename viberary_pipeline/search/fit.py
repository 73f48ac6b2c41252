"""How well books fit a query, in words. A cosine alone says little: made-up words have nearest books, too.

A query's fit is the mean cosine of its ten nearest works, times the share of its words that are known. Each build
calibrates what is good by queries whose answer is known to fit or not (`viberary_pipeline.index.fit`);
docs/decisions/2026-11-26-quotes-and-fit.md has the error rates.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self

from viberary_pipeline.name_keys import FIRST_IDEOGRAPH, words_of

Match = Literal["", "loose", "good", "strong"]

NEAREST = 10


@dataclass(frozen=True)
class Fit:
    """What is good in a build.

    Attributes:
        poor: The fit below which nothing fits a query well.
        good, strong: The least cosine of a book that fits so.
    """

    poor: float
    good: float
    strong: float

    def to_json(self) -> str:
        """What `read` reads."""
        return json.dumps({name: round(value, 4) for name, value in asdict(self).items()})

    @classmethod
    def read(cls, text: str) -> Self | None:
        """From a build's record; None where its version did not calibrate it."""
        return cls(**json.loads(text)) if text else None

    def match(self, cosine: float, fits: bool) -> Match:
        """How a book fits a query by its cosine; loosely where nothing fits the query well (`fits` is False)."""
        return "loose" if not fits or cosine < self.good else "strong" if cosine >= self.strong else "good"


def known_share(query: str, is_held: Callable[[str], bool], is_word: Callable[[str], bool]) -> float:
    """The share of a query's words that are known, in [0, 1]; 1 where that cannot be told.

    Args:
        query: The query.
        is_held: Whether the build's texts hold a word.
        is_word: Whether the encoder knows it whole: that counts for half.
    """
    words = words_of(query)
    told = [word for word in words if word < FIRST_IDEOGRAPH]
    if not told:
        return float(bool(words))
    return sum(1.0 if is_held(word) else 0.5 * is_word(word) for word in told) / len(told)


def fit_of(cosines: Sequence[float], share: float) -> float:
    """The fit of a query, by the cosines of its nearest works, best first, and the share of its known words."""
    first = cosines[:NEAREST]
    return share * sum(first) / len(first) if first else 0.0
