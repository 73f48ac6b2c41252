"""The nearest works that pass a filter: how long it takes to find them, and which are found.

    python benchmarks/filtered_knn.py --home DIR [--queries 100] [--out benchmarks/results/filtered_knn.json]

`--home` names a VIBERARY_HOME with a live build in its own Redis, such as the one that `rehearsal.py` leaves. For each
filter stands how many works pass. For 10 and for 80 works, and for each way, stand the milliseconds of a query at the
median and at the 95th percentile, and its recall. The ways: `ours` is `search.knn.nearest_works`; `RediSearch` is one
KNN query with the filter; ADHOC_BF and BATCHES are its two policies. ADHOC_BF compares the query with every work that
passes, so it finds the true ones. A query lies halfway between two works of the catalogue, and for the last row between
two works in German.
"""

import argparse
import json
import time
from collections.abc import Callable
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
from viberary_pipeline.search.facets import Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import knn_command, nearest_works
from viberary_pipeline.search.replies import read_rows, search_command
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

ENGLISH = Filters(languages=("en",))
FILTERS = {
    "in English": ENGLISH,
    "in English, from 1950": Filters(languages=("en",), years=(1950, None)),
    "at least 2 reviews": Filters(min_reviews=2),
    "published in the nineties": Filters(years=(1990, 1999)),
    "in Spanish": Filters(languages=("es",)),
    "in German": Filters(languages=("de",)),
    "at least 100 reviews": Filters(min_reviews=100),
}

Found = Callable[[bytes], set[bytes]]


def ways(client: redis.Redis, record: BuildRecord, k: int, where: str) -> dict[str, Found]:
    """What finds the k nearest works that pass, by the name of the way."""

    def by_policy(policy: str) -> Found:
        def found(blob: bytes) -> set[bytes]:
            ef_runtime = None if policy == "ADHOC_BF" else record.ef_runtime
            command = list(knn_command(record.build, blob, k, where=where, ef_runtime=ef_runtime))
            if policy:
                command[2] = str(command[2]).replace(" AS distance", f" HYBRID_POLICY {policy} AS distance")
            return {row.key for row in read_rows(client.execute_command(*command))}

        return found

    return {
        "ADHOC_BF": by_policy("ADHOC_BF"),
        "BATCHES": by_policy("BATCHES"),
        "RediSearch": by_policy(""),
        "ours": lambda blob: set(nearest_works(client, record, blob, k, where=where)),
    }


def measured(client: redis.Redis, record: BuildRecord, blobs: list[bytes], k: int, where: str) -> dict[str, Any]:
    found: dict[str, list[set[bytes]]] = {}
    figures: dict[str, dict[str, float]] = {}
    for name, find in ways(client, record, k, where).items():
        milliseconds = []
        for blob in blobs:
            started = time.perf_counter()
            found.setdefault(name, []).append(find(blob))
            milliseconds.append((time.perf_counter() - started) * 1000)
        shares = [
            len(ours & true) / len(true) for ours, true in zip(found[name], found["ADHOC_BF"], strict=True) if true
        ]
        p50, p95 = np.percentile(milliseconds, [50, 95])
        figures[name] = {
            "p50_ms": round(float(p50), 2),
            "p95_ms": round(float(p95), 2),
            "recall": round(float(np.mean(shares)), 4),
        }
    return figures


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
    table = pq.read_table(store.current("documents").file("documents.parquet"), columns=["text_hash", "language"])
    kept = Pipeline(settings).vectors(str(store.current("embeddings").facts["vectors"]))
    vectors = kept.vectors_for(table["text_hash"])
    german = vectors[np.array(table["language"].to_pylist()) == "de"]
    halfway = record.hnsw.to_bytes(halfway_queries(vectors, options.queries, seed=2))
    genres = Facets.read(record.facets).genres
    genre = max(genres, key=lambda name: genres[name])
    asked = {name: (filters, halfway) for name, filters in FILTERS.items()}
    asked[f"genre {genre}"] = (Filters(genre=genre), halfway)
    asked["in English, queries among works in German"] = (
        ENGLISH,
        record.hnsw.to_bytes(halfway_queries(german, options.queries, seed=2)),
    )
    results: dict[str, Any] = {"machine": machine(), "works": record.documents, "type": record.type}
    results |= {"ef_runtime": record.ef_runtime, "queries": options.queries, "filters": {}}
    for name, (filters, blobs) in asked.items():
        where = filters.to_query()
        reply = client.execute_command(*search_command(record.build, where, "LIMIT", 0, 0))
        results["filters"][name] = {"passing": reply[b"total_results"]} | {
            f"{k} works": measured(client, record, blobs, k, where) for k in (10, SearchSettings().candidates)
        }
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
