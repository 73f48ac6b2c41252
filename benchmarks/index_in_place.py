"""An index that is changed in place, week after week, beside an index that is built afresh: time, recall, memory.

    python benchmarks/index_in_place.py [--rows 20000] [--weeks 26] [--out benchmarks/results/index_in_place.json]

Each week 1 % of the works get another vector. The index in place gets these alone, by HSET. A fresh one is built as
`viberary build` does, of the vectors of the first and of the last week. The works with new vectors are new draws from
the same distribution (`index_vectors.py`). Recall and latency are those of 300 queries half-way between two works, at
EF_RUNTIME 200, one client.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import redis
from index_build import write_documents
from index_vectors import realistic_vectors
from reporting import machine, report

from viberary_pipeline import redis_server
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import remove_build
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.recall import Probes, work_ids_of
from viberary_pipeline.redis_contract import VECTOR, BuildRecord, HnswSettings, document_prefix
from viberary_pipeline.settings import load_settings

DIMENSIONS, CHANGED, EF_RUNTIME, QUERIES, PORTION = 384, 0.01, 200, 300, 256


def fresh(client: redis.Redis, documents: Path, vectors: Any) -> BuildRecord:
    source = IndexSource(documents, vectors, "d", "made up", "f", "k")
    return build_index(client, source, HnswSettings(ef_runtime=EF_RUNTIME), GateRules(recall=0))[0]


def change(client: redis.Redis, record: BuildRecord, rows: Any, vectors: Any) -> float:
    """Send other vectors of these rows; the seconds that took, linking included."""
    started = time.perf_counter()
    blobs = record.hnsw.to_bytes(vectors)
    for first in range(0, len(rows), PORTION):
        pipeline = client.pipeline(transaction=False)
        for row, blob in zip(rows[first : first + PORTION], blobs[first : first + PORTION], strict=True):
            pipeline.hset(f"{document_prefix(record.build)}{row}", VECTOR, blob)
        pipeline.execute()
    return time.perf_counter() - started


def look(client: redis.Redis, record: BuildRecord, vectors: Any, ids: list[str]) -> dict[str, float]:
    probed = Probes.halfway(record, vectors, ids, QUERIES).ask(client, EF_RUNTIME)
    return {
        "recall_at_10": round(probed.recall, 4),
        "full_lists": round(probed.full, 4),
        "p50_ms": round(float(np.percentile(probed.milliseconds, 50)), 3),
        "redis_mb": round(client.info("memory")["used_memory"] / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--weeks", type=int, default=26)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    vectors = realistic_vectors(options.rows, DIMENSIONS)
    others = realistic_vectors(options.rows, DIMENSIONS, seed=1)
    chance, weekly = np.random.default_rng(0), round(options.rows * CHANGED)
    with tempfile.TemporaryDirectory() as folder:
        home, documents = Path(folder) / "home", Path(folder) / "documents.parquet"
        write_documents(documents, options.rows)
        ids = work_ids_of(documents)
        redis_server.ensure(home)
        client = redis_server.connect(load_settings(home=home))
        try:
            record = fresh(client, documents, vectors)
            first = {"seconds": record.feed_seconds, **look(client, record, vectors, ids)}
            weeks = []
            for _ in range(options.weeks):
                rows = chance.choice(options.rows, size=weekly, replace=False)
                vectors[rows] = others[(rows + chance.integers(options.rows)) % options.rows]
                weeks.append(change(client, record, rows, vectors[rows]))
            in_place = look(client, record, vectors, ids)
            remove_build(client, record.build)
            time.sleep(2)  # Redis frees in the background
            again = fresh(client, documents, vectors)
            last = {"seconds": again.feed_seconds, **look(client, again, vectors, ids)}
        finally:
            redis_server.stop(home)
    results = {
        "machine": machine(),
        "load_average_after": os.getloadavg()[0],
        "works": options.rows,
        "weeks": options.weeks,
        "changed_a_week": weekly,
        "fresh, first week": first,
        "in place, last week": {"seconds_a_week": round(float(np.median(weeks)), 3), **in_place},
        "fresh, last week": last,
        "a_change_beside_an_insertion": round(
            float(np.median(weeks)) / weekly / (last["seconds"] / options.rows), 2
        ),
    }  # fmt: skip
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
