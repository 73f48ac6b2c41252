"""The index as `viberary build` makes it, beside hnswlib with the same M and EF_CONSTRUCTION on one thread.

    python benchmarks/index_build.py --rows 20000 --dim 384 [--m 16] [--ef-construction 200] [--type FLOAT32]
                                     [--rounds 3] [--ours-alone] [--out benchmarks/results/index_build.json]

One configuration per run, added to those in the JSON; both builds over the same vectors, in turns, ours each time in an
empty embedded Redis; of each the fastest of the rounds counts, since a shared machine takes from one and not the other.
Ours holds the words of titles, authors and descriptions too; `vectors_alone` is the server's own rate without them.
`own_rate` is what the server itself needs per HSET (its command statistics), so `feeding_costs` is what reading,
packing, sending and waiting add to it. The curves are over 300 queries half-way between two works; latency is that of
one KNN query of ten results with their page fields, one client. With --ours-alone neither hnswlib nor an index of
vectors alone is built, for sizes at which each takes half an hour; instead Redis saves, is ended and started again, and
`restart` says how long it takes until the whole index is back.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from index_vectors import describe, realistic_vectors
from redis.commands.search.field import VectorField
from redis.commands.search.query import Query
from reporting import machine

from viberary_pipeline import redis_server
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.recall import halfway_queries, recall_at_k
from viberary_pipeline.index.server import describe_server
from viberary_pipeline.redis_contract import PAGE_FIELDS, VECTOR, BuildRecord, HnswSettings, index_name, is_healthy
from viberary_pipeline.settings import load_settings

EF_RUNTIME = (10, 20, 50, 100, 150, 200, 300, 400, 800, 1600, 3200)
QUERIES = 300
TIE = {"FLOAT32": 1e-5, "FLOAT16": 1e-3}


def write_documents(path: Path, rows: int) -> None:
    """Documents whose page fields have the lengths of real ones."""
    table = {
        "work_id": [str(n) for n in range(rows)],
        "book_id": [str(10**6 + n) for n in range(rows)],
        "title": [f"A title of the usual length, number {n}" for n in range(rows)],
        "author": ["Firstname Lastname"] * rows,
        "authors": ["Firstname Lastname, Second Author"] * rows,
        "description": [f"{n} " + "A description goes on for some hundred characters. " * 12 for n in range(rows)],
        "link": [f"https://www.goodreads.com/book/show/{10**6 + n}" for n in range(rows)],
        "review_count": list(range(rows)),
        "publication_year": [1900 + n % 120 for n in range(rows)],
        "language": ["en"] * rows,
    }
    pq.write_table(pa.table(table), path, row_group_size=10_000)


def redis_curve(
    client: redis.Redis, record: BuildRecord, queries: Any, vectors: Any, ids: list[str]
) -> list[dict[str, float]]:
    curve = []
    for ef in EF_RUNTIME:
        query = (
            Query(f"*=>[KNN 10 @{VECTOR} $query EF_RUNTIME {ef} AS distance]")
            .return_fields("distance", *PAGE_FIELDS)
            .sort_by("distance")
            .paging(0, 10)
            .dialect(2)
        )
        found, milliseconds = [], []
        for blob in record.hnsw.to_bytes(queries):
            started = time.perf_counter()
            result = client.ft(index_name(record.build)).search(query, query_params={"query": blob})
            milliseconds.append((time.perf_counter() - started) * 1000)
            found.append([document.work_id for document in result.docs])
        curve.append(
            {
                "ef_runtime": ef,
                "recall_at_10": round(recall_at_k(queries, vectors, ids, found, tie=TIE[record.type]), 4),
                "p50_ms": round(float(np.percentile(milliseconds, 50)), 3),
                "p95_ms": round(float(np.percentile(milliseconds, 95)), 3),
            }
        )
    return curve


@contextlib.contextmanager
def without_words() -> Iterator[None]:
    """Indexes of vectors alone, as hnswlib's are."""
    whole = HnswSettings.index_fields

    def vectors_alone(self: HnswSettings, dim: int) -> list[Any]:
        return [field for field in whole(self, dim) if isinstance(field, VectorField)]

    HnswSettings.index_fields = vectors_alone  # type: ignore[method-assign]
    try:
        yield
    finally:
        HnswSettings.index_fields = whole  # type: ignore[method-assign]


def restarted(home: Path, client: redis.Redis, record: BuildRecord) -> dict[str, Any]:
    """Seconds of a save, bytes of its file, and seconds from a start until the index is whole again."""
    started = time.perf_counter()
    client.save()
    saved = time.perf_counter() - started
    redis_server.stop(home)
    size = sum(file.stat().st_size for file in home.rglob("dump.rdb"))
    started = time.perf_counter()
    redis_server.ensure(home, loading_seconds=7200)
    again = redis_server.connect(load_settings(home=home), loading_seconds=7200)
    while not is_healthy(again, record):
        time.sleep(0.5)
    return {
        "save_seconds": round(saved, 1),
        "saved_bytes": size,
        "seconds_until_whole": round(time.perf_counter() - started, 1),
    }


def with_redis(vectors: Any, queries: Any, hnsw: HnswSettings, *, curve: bool, restart: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        documents = home / "documents.parquet"
        write_documents(documents, len(vectors))
        ids = [str(n) for n in range(len(vectors))]
        try:
            redis_server.ensure(home)
            client = redis_server.connect(load_settings(home=home))
            before = client.info("memory")["used_memory"]
            client.config_resetstat()
            record, gates = build_index(
                client, IndexSource(documents, vectors, "d", "made up", "f", "k"), hnsw, GateRules(recall=0)
            )
            own = client.info("commandstats")["cmdstat_hset"]["usec"] / 1e6
            server = describe_server(client)
            taken = client.info("memory")["used_memory"] - before
            return {
                "server": f"Redis {server.redis}, search {server.search}, workers {server.workers}",
                "rate": round(len(vectors) / record.feed_seconds, 1),
                "own_rate": round(len(vectors) / own, 1),
                "feeding_costs": round(record.feed_seconds / own - 1, 4),
                "bytes_per_work": taken // len(vectors),
                "gates": {gate.name: gate.figure for gate in gates},
                "curve": redis_curve(client, record, queries, vectors, ids) if curve else [],
                **({"restart": restarted(home, client, record)} if restart else {}),
            }
        finally:
            redis_server.stop(home)


def with_hnswlib(vectors: Any, queries: Any, hnsw: HnswSettings, *, curve: bool) -> dict[str, Any]:
    index = hnswlib.Index(space="cosine", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=hnsw.m, ef_construction=hnsw.ef_construction)
    index.set_num_threads(1)
    started = time.perf_counter()
    index.add_items(vectors, num_threads=1)
    seconds = time.perf_counter() - started
    ids = [str(n) for n in range(len(vectors))]
    recall = {}
    for ef in EF_RUNTIME if curve else ():
        index.set_ef(ef)
        found = [[str(row) for row in rows] for rows in index.knn_query(queries, k=10, num_threads=1)[0]]
        recall[ef] = round(recall_at_k(queries, vectors, ids, found, tie=TIE["FLOAT32"]), 4)
    return {"rate": round(len(vectors) / seconds, 1), "recall_at_10": recall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=200)
    parser.add_argument("--type", default="FLOAT32", choices=["FLOAT32", "FLOAT16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours-alone", action="store_true", help="nothing beside it, and a restart")
    parser.add_argument("--out", type=Path, help="JSON to add the figures to")
    options = parser.parse_args()
    hnsw = HnswSettings(options.type, options.m, options.ef_construction)
    vectors = realistic_vectors(options.rows, options.dim)
    queries = halfway_queries(vectors, QUERIES)
    theirs, ours, alone = [], [], []
    for turn in range(1 if options.ours_alone else options.rounds):
        # hnswlib first: where the machine warms up and slows down, that is to our cost.
        if not options.ours_alone:
            theirs.append(with_hnswlib(vectors, queries, hnsw, curve=not turn))
        ours.append(with_redis(vectors, queries, hnsw, curve=not turn, restart=options.ours_alone))
        if not options.ours_alone:
            with without_words():
                alone.append(with_redis(vectors, queries, hnsw, curve=False)["own_rate"])
    fastest = max(ours, key=lambda found: found["rate"])
    mine = fastest | {"curve": ours[0]["curve"]}
    mine["feeding_costs"] = sorted(found["feeding_costs"] for found in ours)[len(ours) // 2]
    result = {
        "machine": machine(),
        "vectors": describe(vectors),
        "rounds": len(ours),
        "rates": {"redis": [found["rate"] for found in ours], "hnswlib": [found["rate"] for found in theirs]},
        "redis": mine,
    }
    if theirs:
        rate = max(found["rate"] for found in theirs)
        mine["vectors_alone"] = max(alone)
        result |= {
            "hnswlib": theirs[0] | {"rate": rate},
            "rate_to_hnswlib": round(mine["rate"] / rate, 3),
            "vectors_alone_to_hnswlib": round(mine["vectors_alone"] / rate, 3),
        }
    name = f"{options.rows} x {options.dim} {options.type}, M {options.m}, EF_CONSTRUCTION {options.ef_construction}"
    print(json.dumps({name: result}, indent=1))
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        options.out.write_text(json.dumps(known | {name: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
