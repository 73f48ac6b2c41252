"""Recall of an index against exact search over the same vectors."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import redis

from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.search.knn import nearest

K = 10
_CHUNK_ROWS = 65_536
# Two works whose similarities differ by less are equally good answers (float32 sums differ by this much, and
# FLOAT16 rounds at 1e-3 of a component).
_TIE = {"FLOAT32": 1e-5, "FLOAT16": 1e-3}


@dataclass(frozen=True)
class Probed:
    """What an index answered: recall@10 in [0, 1], the share of full lists of results, milliseconds of each query."""

    recall: float
    full: float
    milliseconds: list[float]


@dataclass(frozen=True)
class Probes:
    """Queries, and what exact search finds for them.

    Attributes:
        record: The build that is asked.
        vectors: float32 (documents, dim), norm 1, as they were sent.
        row_of: {work_id: its row}.
        queries: float32 (queries, dim), norm 1.
        threshold: float32 (queries,): the similarity of the tenth nearest.
    """

    record: BuildRecord
    vectors: npt.NDArray[np.float32]
    row_of: Mapping[str, int]
    queries: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        record: BuildRecord,
        vectors: npt.NDArray[np.float32],
        work_ids: Sequence[str],
        queries: npt.NDArray[np.float32],
    ) -> Self:
        """Probes of a build by these queries; `work_ids` are those of the vectors' rows."""
        threshold = _kth_similarity(queries, vectors, min(K, len(vectors)))
        return cls(record, vectors, {work_id: row for row, work_id in enumerate(work_ids)}, queries, threshold)

    @classmethod
    def halfway(
        cls,
        record: BuildRecord,
        vectors: npt.NDArray[np.float32],
        work_ids: Sequence[str],
        count: int,
        *,
        seed: int = 0,
    ) -> Self:
        """`count` probes half-way between two works, which a reader's words are too."""
        return cls.of(record, vectors, work_ids, halfway_queries(vectors, count, seed=seed))

    def ask(self, client: redis.Redis, ef_runtime: int) -> Probed:
        """The index's answers, one query at a time, each looking at `ef_runtime` candidates."""
        expected = min(K, len(self.vectors))
        milliseconds: list[float] = []
        results: list[list[int]] = []
        for blob in self.record.hnsw.to_bytes(self.queries):
            started = time.perf_counter()
            hits = nearest(client, self.record.build, blob, K, fields=("work_id",), ef_runtime=ef_runtime)
            milliseconds.append((time.perf_counter() - started) * 1000)
            results.append([self.row_of[hit["work_id"]] for hit in hits])
        recall = _share_within(self.queries, self.vectors, results, self.threshold, _TIE[self.record.type], expected)
        return Probed(recall, sum(len(rows) == expected for rows in results) / len(results), milliseconds)


def work_ids_of(documents: Path) -> list[str]:
    """The work_ids of a Parquet file of documents, in its order."""
    work_ids: list[str] = pq.read_table(documents, columns=["work_id"])["work_id"].to_pylist()
    return work_ids


def halfway_queries(vectors: npt.NDArray[np.float32], count: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Unit vectors half-way between pairs of rows, float32 (count, dim): the same for as many rows and one seed."""
    random = np.random.default_rng([len(vectors), seed] if seed else len(vectors))
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
    row_of = {work_id: row for row, work_id in enumerate(work_ids)}
    rows = [[row_of[work_id] for work_id in results] for results in found]
    return _share_within(queries, vectors, rows, _kth_similarity(queries, vectors, k), tie, k)


def _share_within(
    queries: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    found: list[list[int]],
    threshold: npt.NDArray[np.float32],
    tie: float,
    k: int,
) -> float:
    hits = 0
    for query, results, least in zip(queries, found, threshold, strict=True):
        rows = list(dict.fromkeys(results[:k]))
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
