"""Recall and latency of one index over EF_RUNTIME: what more candidates per query buy, and what they cost."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.index.ef_runtime import EF_RUNTIMES
from viberary_pipeline.index.recall import Probes
from viberary_pipeline.redis_contract import VECTOR, BuildRecord, document_prefix

_BELOW = (10, 20, 50, 100)
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


def sweep(client: redis.Redis, record: BuildRecord, queries: npt.NDArray[np.float32]) -> list[SweepPoint]:
    """One point per EF_RUNTIME over these query vectors, float32 (n, dim); none for an index beyond `MOST_WORKS`.

    The values are those that a build chooses from, some below, and the build's own.
    """
    if not len(queries) or record.documents > MOST_WORKS:
        return []
    prefix = document_prefix(record.build)
    keys = sorted(client.scan_iter(f"{prefix}*", count=_KEYS_AT_ONCE))
    blobs: list[bytes] = []
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for key in keys[start : start + _KEYS_AT_ONCE]:
            pipeline.hget(key, VECTOR)
        blobs += pipeline.execute()
    work_ids = [key.decode().removeprefix(prefix) for key in keys]
    probes = Probes.of(record, record.hnsw.from_bytes(blobs, record.dim), work_ids, queries)
    points = []
    for ef_runtime in sorted({*_BELOW, *EF_RUNTIMES, record.ef_runtime}):
        probed = probes.ask(client, ef_runtime)
        p50, p95 = np.percentile(probed.milliseconds, (50, 95))
        points.append(SweepPoint(ef_runtime, round(probed.recall, 4), round(float(p50), 3), round(float(p95), 3)))
    return points
