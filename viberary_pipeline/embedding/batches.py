"""Batches of tokenised texts: equal ones once, longest first, as many rows as fit a budget of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Tokens:
    """The token ids of some texts, cut to the encoder's limit, special ones included, each distinct text once.

    Attributes:
        ids: One array per distinct text, longest first.
        rows: For each text, in the order given, which of `ids` is its.
    """

    ids: Sequence[Ids]
    rows: NDArray[np.int64]

    @property
    def computed(self) -> int:
        """The tokens that are computed on, padding left out."""
        return sum(len(ids) for ids in self.ids)


def distinct(encodings: Sequence[Sequence[int]]) -> Tokens:
    """Put equal texts together and sort by length, so that a batch pads little and the largest comes first: memory
    that does not suffice shows at once."""
    arrays = [np.asarray(ids, dtype=np.int32) for ids in encodings]
    first: dict[bytes, int] = {}
    code = np.array([first.setdefault(ids.tobytes(), len(first)) for ids in arrays], dtype=np.int64)
    keys = [np.frombuffer(key, dtype=np.int32) for key in first]
    order = np.argsort([-len(ids) for ids in keys], kind="stable")
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    return Tokens([keys[index] for index in order], position[code])


def next_batch(ids: Sequence[Ids], start: int, *, budget: int, multiple: int = 1) -> tuple[int, int]:
    """The end of the batch that begins at `start`, and its width.

    The width is the first text's length (they are sorted, longest first), rounded up to `multiple`; rows x width stays
    within `budget` tokens, with one row at least.
    """
    width = -(-len(ids[start]) // multiple) * multiple
    return min(len(ids), start + max(1, budget // width)), width


def padded(ids: Sequence[Ids], width: int, pad: int, *, left: bool = False) -> tuple[NDArray[np.int64], NDArray]:
    """(ids, attention mask) of a batch, both int64 (rows, width)."""
    out = np.full((len(ids), width), pad, dtype=np.int64)
    mask = np.zeros_like(out)
    for row, values in enumerate(ids):
        where = slice(width - len(values), None) if left else slice(0, len(values))
        out[row, where] = values
        mask[row, where] = 1
    return out, mask
