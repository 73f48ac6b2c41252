"""Gates on a finished index: it is published only if every one of them passes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.schema import BuildRecord, index_info

_K = 10
_CHUNK_ROWS = 65_536
# Two works whose similarities differ by less are equally good answers (float32 sums differ by this much, and
# FLOAT16 rounds at 1e-3 of a component).
_TIE = {"FLOAT32": 1e-5, "FLOAT16": 1e-3}


@dataclass(frozen=True)
class GateResult:
    """One gate: what was measured and what was asked for.

    Attributes:
        name: Constant; the Dagster check has the same.
        passed: Whether the index may be published as far as this gate goes.
        figure: What was measured.
        bound: What it is compared with.
        means: The comparison in words.
    """

    name: str
    passed: bool
    figure: float
    bound: float
    means: str

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


GATE_NAMES = ("document_count", "indexing_failures", "recall_at_10", "full_results")


def gate_index(
    client: redis.Redis,
    record: BuildRecord,
    vectors: npt.NDArray[np.float32],
    work_ids: list[str],
    *,
    least_recall: float,
    queries: int,
) -> list[GateResult]:
    """Measure a finished index against exact search over the same vectors.

    Args:
        client: The server.
        record: The build.
        vectors: float32 (documents, dim), norm 1, as they were sent.
        work_ids: Of the same rows.
        least_recall: Least recall@10, in [0, 1].
        queries: How many queries; each lies half-way between two works, since a reader's words, too, lie near
            several works and on none.
    """
    info = index_info(client, record.build) or {"num_docs": 0, "failures": record.documents}
    probes = halfway_queries(vectors, queries)
    found = [
        [hit["work_id"] for hit in nearest(client, record.build, blob, _K, fields=("work_id",))]
        for blob in record.hnsw.to_bytes(probes)
    ]
    expected_hits = min(_K, len(work_ids))
    recall = recall_at_k(probes, vectors, work_ids, found, tie=_TIE[record.type])
    full = sum(len(hits) == expected_hits for hits in found) / len(found)
    return [
        GateResult(
            "document_count",
            info["num_docs"] == record.documents,
            info["num_docs"],
            record.documents,
            "documents in the index equal documents built",
        ),
        GateResult(
            "indexing_failures",
            info["failures"] == 0,
            info["failures"],
            0,
            "no document was left out by Redis",
        ),
        GateResult(
            "recall_at_10",
            recall >= least_recall,
            round(recall, 5),
            least_recall,
            f"at least this share of the true ten nearest is found, over {len(probes)} queries",
        ),
        GateResult(
            "full_results",
            full == 1.0,
            round(full, 5),
            1.0,
            f"share of queries with {expected_hits} results, over {len(probes)} queries",
        ),
    ]


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
    k: int = _K,
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
