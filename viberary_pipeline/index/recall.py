"""Recall of an index against exact search over the same vectors."""

import numpy as np
import numpy.typing as npt

K = 10
_CHUNK_ROWS = 65_536


def halfway_queries(vectors: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Unit vectors half-way between pairs of rows, the same for the same number of rows; float32 (count, dim)."""
    random = np.random.default_rng(len(vectors))
    first, second = random.integers(len(vectors), size=(2, count))
    middle = vectors[first] + vectors[second]
    norms = np.linalg.norm(middle, axis=1, keepdims=True)
    # Opposite vectors have no middle: take the first of the two.
    return np.where(norms > 1e-6, middle / np.maximum(norms, 1e-6), vectors[first]).astype(np.float32)


def recall_at_k(
    queries: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    work_ids: list[str],
    found: list[list[str]],
    *,
    tie: float,
    k: int = K,
) -> float:
    """Mean share of the k nearest that was found, in [0, 1].

    A result counts if its similarity reaches that of the k-th true neighbour within `tie`: works with the same
    text are equally right answers.
    """
    k = min(k, len(work_ids))
    threshold = _kth_similarity(queries, vectors, k)
    row_of = {work_id: row for row, work_id in enumerate(work_ids)}
    hits = 0
    for query, results, least in zip(queries, found, threshold, strict=True):
        rows = [row_of[work_id] for work_id in dict.fromkeys(results[:k])]
        hits += int(np.count_nonzero(vectors[rows] @ query >= least - tie)) if rows else 0
    return hits / (k * len(queries))


def _kth_similarity(
    queries: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], k: int
) -> npt.NDArray[np.float32]:
    """The cosine of each query to its k-th nearest row, by a matrix product in chunks (bounded memory)."""
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        similarity = queries @ vectors[start : start + _CHUNK_ROWS].T
        merged = np.concatenate([best, similarity], axis=1)
        best = np.partition(merged, -k, axis=1)[:, -k:] if merged.shape[1] > k else merged
    return np.asarray(best.min(axis=1), dtype=np.float32)
