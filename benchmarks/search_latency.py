"""One query from words to ten shown books, in one process: ours beside the original system's path.

    python benchmarks/search_latency.py [--cache DIR] [--out benchmarks/results/search_latency.json]

20,000 works of `viberary synth`, documents by the real `build_documents`, all indexes in one Redis, one client,
in rounds. Ours is `Searcher.search` with every default, the encoder in the precision that a build would
publish. The original's path, from its description: an optimum ONNX model behind a transformers feature-extraction
pipeline, FLOAT64 vectors in an HNSW index with Redis' defaults, KNN 50 that returns every field with the vector, and
duplicates removed by title in the client. It is measured twice: with its own encoder's architecture (DistilBERT, 768
dimensions; seeded weights, since the real ones are a download and take the same time), and with ours, which tells what
the encoder's choice pays and what the rest.

So that it takes minutes, the works are embedded by their first 110 characters: latency does not depend on what the
vectors say. With --cache the documents and vectors are kept for the next run.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "support"))

from distilbert import DIMENSIONS, make_distilbert  # noqa: E402
from reporting import machine, report  # noqa: E402

from viberary_pipeline.documents.assemble import TABLES, build_documents  # noqa: E402
from viberary_pipeline.documents.recipes import RECIPES  # noqa: E402
from viberary_pipeline.documents.rules import DocumentRules  # noqa: E402
from viberary_pipeline.duck import DuckLimits  # noqa: E402
from viberary_pipeline.encoders.files import resolve  # noqa: E402
from viberary_pipeline.encoders.query_encoder import QueryEncoder  # noqa: E402
from viberary_pipeline.evaluation.queries import judged_set  # noqa: E402
from viberary_pipeline.redis_contract import POINTER, read_pointer  # noqa: E402
from viberary_pipeline.redis_server import connect, ensure, stop  # noqa: E402
from viberary_pipeline.sample import GOLDEN  # noqa: E402
from viberary_pipeline.search.searcher import Searcher  # noqa: E402
from viberary_pipeline.search.weights import SearchSettings  # noqa: E402
from viberary_pipeline.settings import load_settings  # noqa: E402
from viberary_pipeline.sources.ingest import ingest  # noqa: E402
from viberary_pipeline.sources.raw_files import find  # noqa: E402
from viberary_pipeline.synth.write import write_synthetic  # noqa: E402

ENCODER = "all-MiniLM-L6-v2"
BOOKS, REVIEWS = 31_000, 100_000  # some 20,000 works
LIMITS = DuckLimits("2GB", 2)
CHARACTERS = 110
ROUNDS, WARM = 10, 10
PAUSE = 0.5  # seconds
OWN, SAME = "the original's path", "the original's path with our encoder's model"

Ask = Callable[[str], Any]


def documents_of(folder: Path) -> Path:
    """documents.parquet, made in `folder` unless it is there."""
    documents = folder / "documents.parquet"
    if not documents.exists():
        with tempfile.TemporaryDirectory() as scratch:
            raw, tables = Path(scratch) / "raw", Path(scratch) / "tables"
            tables.mkdir()
            write_synthetic(raw, books=BOOKS, reviews=REVIEWS, seed=0, limits=LIMITS)
            made = {}
            for table in TABLES:
                ingest(table, find(table, str(raw)), tables, LIMITS, reject_ceiling=0.5)
                made[table] = tables / f"{table}.parquet"
            build_documents(made, folder, LIMITS, RECIPES["title-first"], DocumentRules())
    return documents


def documents_and_vectors(folder: Path, encoder: QueryEncoder) -> tuple[Path, np.ndarray]:
    """documents.parquet and float32 (works, dim), made in `folder` unless they are there."""
    documents, vectors = documents_of(folder), folder / "vectors.npy"
    if not vectors.exists():
        texts = [text[:CHARACTERS] for text in pq.read_table(documents, columns=["text"])["text"].to_pylist()]
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # batches of one length
        found = np.empty((len(texts), encoder.dimensions), dtype=np.float32)
        found[order] = encoder.encode([texts[row] for row in order])
        np.save(vectors, found)
    return documents, np.load(vectors)


def feed_seed(client: redis.Redis, name: str, documents: Path, vectors: np.ndarray) -> None:
    """The original's hashes and index; its last portion, which it never sent, is sent."""
    client.execute_command(
        # Without the scan, which would index again what is sent meanwhile, and slow whatever is measured next.
        *("FT.CREATE", name, "ON", "HASH", "PREFIX", 1, f"{name}::", "SKIPINITIALSCAN"),
        *("SCHEMA", "title", "TEXT", "vector"),
        *("VECTOR", "HNSW", 6, "TYPE", "FLOAT64", "DIM", vectors.shape[1], "DISTANCE_METRIC", "COSINE"),
    )
    names = ("title", "author", "link", "review_count")
    rows = pq.read_table(documents, columns=list(names)).to_pylist()
    for start in range(0, len(rows), 1000):
        pipeline = client.pipeline(transaction=False)
        for place in range(start, min(start + 1000, len(rows))):
            blob = vectors[place].astype(np.float64).tobytes()
            pipeline.hset(f"{name}::{place}", mapping={**rows[place], "vector": blob})
        pipeline.execute()


def seed_path(client: redis.Redis, name: str, model_folder: Path) -> Ask:
    from optimum.onnxruntime import ORTModelForFeatureExtraction
    from redis.commands.search.query import Query
    from transformers import AutoTokenizer, pipeline

    model = ORTModelForFeatureExtraction.from_pretrained(str(model_folder), export=True)
    extract = pipeline("feature-extraction", model=model, tokenizer=AutoTokenizer.from_pretrained(str(model_folder)))
    query = Query("*=>[KNN 50 @vector $vec AS score]").sort_by("score").paging(0, 50).dialect(2)
    query = query.return_fields("title", "author", "link", "review_count", "score").return_field(
        "vector", decode_field=False
    )

    def ask(text: str) -> list[Any]:
        vector = np.array(extract(text)[0]).mean(axis=0)
        blob = (vector / np.linalg.norm(vector)).astype(np.float64).tobytes()
        found = client.ft(name).search(query, query_params={"vec": blob}).docs
        seen: dict[str, Any] = {}
        for document in found:
            seen.setdefault(document.title, document)
        return list(seen.values())[:10]

    return ask


def widened(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """The same vectors turned into a space of more dimensions: same distances, same neighbours."""
    chance = np.random.default_rng(0).normal(size=(dimensions, vectors.shape[1]))
    turned, _ = np.linalg.qr(chance)
    return (vectors @ turned.T).astype(np.float32)


def measure(paths: dict[str, Ask], queries: list[str]) -> dict[str, dict[str, Any]]:
    """Milliseconds of each path over several rounds of all of them, each round's first queries not counted.

    A shared machine has faster and slower minutes: in rounds, all paths have the same share of both. Within a round
    they do not take turns, and there is a pause after each: the threads of the original's session spin for a while, and
    would take a core from Redis.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in paths}
    for _ in range(ROUNDS):
        for name, ask in paths.items():
            time.sleep(PAUSE)
            for text in queries[:WARM]:
                ask(text)
            times = []
            for text in queries:
                started = time.perf_counter()
                ask(text)
                times.append(1000 * (time.perf_counter() - started))
            taken[name].append(times)
    return {
        name: {
            "p50_ms": round(float(np.percentile(rounds, 50)), 3),
            "p95_ms": round(float(np.percentile(rounds, 95)), 3),
            "p50_ms_of_rounds": [round(float(np.percentile(times, 50)), 3) for times in rounds],
            "queries": sum(map(len, rounds)),
        }
        for name, rounds in taken.items()
    }


def publish_ours(client: redis.Redis, documents: Path, vectors: np.ndarray, encoder: QueryEncoder) -> str:
    """Our index with every default, made live without its gates: its speed is measured here, not its recall."""
    import viberary_pipeline.index.build as build
    from viberary_pipeline.redis_contract import SEARCH_FIELDS, BuildRecord, HnswSettings, record_key

    hnsw, name = HnswSettings(), build.new_build_name()
    record = BuildRecord(
        *(name, "live", "benchmark", ENCODER, encoder.fingerprint, "benchmark", encoder.dimensions),
        *(hnsw.stored_type, hnsw.m, hnsw.ef_construction, 200, len(vectors)),
        search_fields=SEARCH_FIELDS,
    )
    client.hset(record_key(name), mapping=dict(record.to_hash()))
    build._create(client, record)
    source = build.IndexSource(documents, vectors, "benchmark", ENCODER, encoder.fingerprint, "benchmark")
    facets = build._feed(client, source, record, lambda: None, lambda line: None)
    # What the page quotes, how well it says that books fit, and what it offers to narrow by.
    words = build.learn_sentence_words(documents, vectors, encoder)
    client.set(build.sentence_words_key(name), words.to_bytes())
    fit = build.calibrate(client, record, encoder, lambda word: word in words.rows)
    record = dataclasses.replace(record, facets=facets.to_json(), fit=fit.to_json())
    client.hset(record_key(name), mapping=dict(record.to_hash()))
    client.hset(POINTER, "live", name)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="keep documents and vectors there")
    parser.add_argument("--encoder", type=Path, help="an exported query encoder; else one is exported")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    queries = [query.text for query in judged_set(GOLDEN).queries]
    with tempfile.TemporaryDirectory() as scratch:
        home, model = Path(scratch), resolve(ENCODER)
        exported = home / "artifacts" / "query_encoder" / "benchmark.0"
        exported.parent.mkdir(parents=True)
        if options.encoder:
            exported.symlink_to(options.encoder.absolute())
        else:
            from viberary_pipeline.encoders.onnx_export import export_query_encoder

            export_query_encoder(model, exported, precision="auto")
        encoder = QueryEncoder(exported)
        cache = options.cache or home / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        documents, vectors = documents_and_vectors(cache, QueryEncoder(exported, threads=os.cpu_count() or 1))
        ensure(home)
        try:
            client = connect(load_settings(home=home))
            publish_ours(client, documents, vectors, encoder)
            feed_seed(client, "seed", documents, widened(vectors, DIMENSIONS))
            feed_seed(client, "seed_small", documents, vectors)
            client.save()  # or the server saves while it is measured
            searchers = {
                "ours, every default": Searcher(client, home),
                "ours, vectors alone": Searcher(client, home, SearchSettings(lexical_weight=0, find_names=False)),
            }
            paths: dict[str, Ask] = {name: searcher.search for name, searcher in searchers.items()}
            paths["ours, encoding alone"] = lambda text: encoder.encode([text])
            paths[OWN] = seed_path(client, "seed", make_distilbert(home / "distilbert"))
            paths[SAME] = seed_path(client, "seed_small", model.folder)
            figures = measure(paths, queries)
            build = read_pointer(client).live
        finally:
            stop(home)
    ours = figures["ours, every default"]
    results = {
        "machine": machine(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "versions": {name: version(name) for name in ("redis", "hiredis", "onnxruntime", "optimum", "transformers")},
        "works": len(vectors),
        "build": build,
        "milliseconds": figures,
        "encoder": encoder.precision,
        "times_faster": {
            than: {name: round(figures[than][name] / ours[name], 2) for name in ("p50_ms", "p95_ms")}
            for than in (OWN, SAME)
        },
    }
    text = json.dumps(results, indent=1)
    report(text, options.out)


if __name__ == "__main__":
    main()
