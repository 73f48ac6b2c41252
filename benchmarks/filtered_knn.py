"""The two ways in which RediSearch narrows a KNN query by a filter: how long each takes, and what it finds.

    python benchmarks/filtered_knn.py --home DIR [--queries 100] [--out benchmarks/results/filtered_knn.json]

`--home` names a VIBERARY_HOME with a live build in its own Redis, such as the one that `rehearsal.py` leaves. For each
filter stands how many works pass. For 10 and for 80 works, and for each way, stand the milliseconds of a query at the
median and at the 95th percentile, and its recall. `RediSearch` is the way that it chooses by itself, and `ours` the one
that `search.knn.is_broad` chooses. ADHOC_BF compares the query with every work that passes, so it finds the true ones.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis
from reporting import machine, report

from viberary_pipeline import redis_server
from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.index.recall import halfway_queries
from viberary_pipeline.redis_contract import BuildRecord, read_pointer, read_record
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import is_broad, knn_command
from viberary_pipeline.search.replies import Command, read_rows, read_total, search_command
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

FILTERS = {
    "in English": Filters(languages=("en",)),
    "in English, from 1950": Filters(languages=("en",), years=(1950, None)),
    "at least 2 reviews": Filters(min_reviews=2),
    "published in the nineties": Filters(years=(1990, 1999)),
    "in Spanish": Filters(languages=("es",)),
    "in German": Filters(languages=("de",)),
    "at least 100 reviews": Filters(min_reviews=100),
}


def ways(client: redis.Redis, record: BuildRecord, blob: bytes, k: int, where: str) -> dict[str, Command]:
    """The same query in each way."""

    def command(*, batches: bool) -> Command:
        return knn_command(record.build, blob, k, where=where, ef_runtime=record.ef_runtime, batches=batches)

    batches = command(batches=True)
    text = str(batches[2]).replace(f" EF_RUNTIME {record.ef_runtime}", "").replace("BATCHES", "ADHOC_BF")
    return {
        "ADHOC_BF": (*batches[:2], text, *batches[3:]),
        "BATCHES": batches,
        "RediSearch": command(batches=False),
        "ours": command(batches=is_broad(client, record, where, k)),
    }


def measured(client: redis.Redis, record: BuildRecord, blobs: list[bytes], k: int, where: str) -> dict[str, Any]:
    milliseconds: dict[str, list[float]] = {}
    recalls: dict[str, list[float]] = {}
    for blob in blobs:
        true: set[bytes] = set()
        for name, command in ways(client, record, blob, k, where).items():
            started = time.perf_counter()
            reply = client.execute_command(*command)
            milliseconds.setdefault(name, []).append((time.perf_counter() - started) * 1000)
            found = {row.key for row in read_rows(reply)}
            true = true or found
            recalls.setdefault(name, []).append(len(found & true) / len(true))
    return {
        name: {
            "p50_ms": round(float(np.percentile(times, 50)), 2),
            "p95_ms": round(float(np.percentile(times, 95)), 2),
            "recall": round(float(np.mean(recalls[name])), 4),
        }
        for name, times in milliseconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    redis_server.ensure(options.home, loading_seconds=3600)
    settings = load_settings(home=options.home)
    client = redis_server.connect(settings, loading_seconds=3600)
    record = read_record(client, read_pointer(client).live)
    assert record is not None
    store = ArtifactStore(options.home)
    hashes = pq.read_table(store.current("documents").file("documents.parquet"), columns=["text_hash"])["text_hash"]
    vectors = Pipeline(settings).vectors(str(store.current("embeddings").facts["vectors"])).vectors_for(hashes)
    blobs = record.hnsw.to_bytes(halfway_queries(vectors, options.queries, seed=2))
    results: dict[str, Any] = {"machine": machine(), "works": record.documents, "type": record.type}
    results |= {"ef_runtime": record.ef_runtime, "queries": options.queries, "filters": {}}
    for name, filters in FILTERS.items():
        where = filters.to_query()
        passing = read_total(client.execute_command(*search_command(record.build, where, "LIMIT", 0, 0)))
        results["filters"][name] = {"passing": passing} | {
            f"{k} works": measured(client, record, blobs, k, where) for k in (10, SearchSettings().candidates)
        }
        print(name, json.dumps(results["filters"][name]), flush=True)
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
