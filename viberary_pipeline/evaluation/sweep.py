"""Recall and latency of one index over EF_RUNTIME: what more candidates per query buy, and what they cost."""

import time
from dataclasses import dataclass

import numpy as np
import redis

from viberary_pipeline.index.contract import VECTOR, BuildRecord, document_prefix
from viberary_pipeline.search.knn import knn_command
from viberary_pipeline.search.replies import read_rows

EF_RUNTIMES = (10, 20, 50, 100, 200, 400)
_K = 10
_KEYS_AT_ONCE = 500
MOST_WORKS = 50_000
"""Beyond, the exact search that recall is measured against is left to the build's own gate."""


@dataclass(frozen=True)
class SweepPoint:
    """At one EF_RUNTIME: recall@10 against exact search, in [0, 1], and milliseconds of one KNN query."""

    ef_runtime: int
    recall: float
    p50_ms: float
    p95_ms: float


def sweep(client: redis.Redis, record: BuildRecord, queries: np.ndarray) -> list[SweepPoint]:
    """One point per EF_RUNTIME over these query vectors, float32 (n, dim); none for an index beyond `MOST_WORKS`."""
    if not len(queries) or record.documents > MOST_WORKS:
        return []
    keys = sorted(client.scan_iter(f"{document_prefix(record.build)}*", count=_KEYS_AT_ONCE))
    blobs: list[bytes] = []
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for key in keys[start : start + _KEYS_AT_ONCE]:
            pipeline.hget(key, VECTOR)
        blobs += pipeline.execute()
    vectors = record.hnsw.from_bytes(blobs, record.dim)
    row_of = {key: row for row, key in enumerate(keys)}
    exact = [set(np.argsort(-(vectors @ query), kind="stable")[:_K]) for query in queries]
    asked = record.hnsw.to_bytes(queries)
    points = []
    for ef in EF_RUNTIMES:
        found, milliseconds = 0, []
        for blob, wanted in zip(asked, exact, strict=True):
            started = time.perf_counter()
            rows = read_rows(client.execute_command(*knn_command(record.build, blob, _K, ef_runtime=ef)))
            milliseconds.append(1000 * (time.perf_counter() - started))
            found += len(wanted & {row_of[row.key] for row in rows})
        p50, p95 = np.percentile(milliseconds, (50, 95))
        recall = found / sum(map(len, exact))
        points.append(SweepPoint(ef, round(recall, 4), round(float(p50), 3), round(float(p95), 3)))
    return points
