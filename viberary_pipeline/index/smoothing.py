"""Document vectors moved towards what stands around them.

A short or odd text gives a vector that is off by chance; the mean of its nearest says what such books are like. It
helps an encoder that knows the field badly, and blurs one that knows it well: measured by benchmarks/shelves.py.
"""

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 64 << 20
"""Of the cosines that are held at once: 64 MiB, whatever the number of vectors."""


def smoothed(vectors: npt.NDArray[np.float32], *, nearest: int, weight: float) -> npt.NDArray[np.float32]:
    """Each vector plus `weight` times the mean of its nearest others, by cosine, with norm 1 again.

    Exact. Time grows with the square of the number of vectors, memory does not: one block of cosines is held beside
    the result.

    Args:
        vectors: (works, dim), norm 1.
        nearest: How many others; fewer where there are fewer.
        weight: 0 changes nothing.

    Returns:
        float32 (works, dim), norm 1. Equal vectors that stand in the same surroundings stay equal.
    """
    count = min(nearest, len(vectors) - 1)
    if count < 1 or weight == 0:
        return vectors.copy()
    moved = np.empty_like(vectors)
    rows = max(1, _BLOCK_BYTES // (vectors.itemsize * len(vectors)))
    for first in range(0, len(vectors), rows):
        block = vectors[first : first + rows]
        cosines = block @ vectors.T
        cosines[np.arange(len(block)), np.arange(first, first + len(block))] = -np.inf
        found = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        # One neighbour at a time: all of them at once would be `count` blocks.
        mean = sum(vectors[found[:, place]] for place in range(count)) / np.float32(count)
        moved[first : first + rows] = block + np.float32(weight) * mean
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)
