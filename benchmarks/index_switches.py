"""Switches of the published index while clients query: errors, empty, short and mixed results are counted.

    python benchmarks/index_switches.py [--switches 300] [--clients 4] [--out benchmarks/results/index_switches.json]

Three runs over 5,000 made-up works, each in an empty embedded Redis. In the first, two builds by one encoder take
turns; in the second, two builds by encoders of 384 and 32 dimensions; the third repeats the first with clients that ask
a replica. Each client is a process that searches as the page does, without a pause. A result is mixed if it is not,
work by work and score by score, what the build that it names gave before the switches began. The small encoder has
random weights: what matters here is its size.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import redis
from index_build import write_documents
from index_vectors import realistic_vectors

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from reporting import machine, report
from tiny_model import make_tiny_model

from viberary_pipeline import redis_server
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.gate_result import EVALUATION, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import publish, record_verdict, rollback
from viberary_pipeline.redis_contract import HnswSettings
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings

WORKS = 5_000
# Between switches: long enough that clients search in between, after they have loaded the other encoder if need be.
PAUSE_SECONDS = {"one encoder": 0.05, "a change of encoder": 0.3, "one encoder, readers at a replica": 0.05}
QUERIES = ("revenge", "a quiet garden by the sea", "robot winter", "the book of the sea", "passage", "funny sci-fi")
Answers = dict[str, dict[str, list[tuple[str, float]]]]


def answers(searcher: Searcher) -> dict[str, list[tuple[str, float]]]:
    return {query: found(searcher.search(query)) for query in QUERIES}


def found(response: Any) -> list[tuple[str, float]]:
    return [(hit.work_id, hit.score) for hit in response.results]


def client(home: str, url: str, expected: Answers, ready: Any, stop: Event, out: Any) -> None:
    """Search until told to stop; puts the counts of what came back."""
    searcher = Searcher(connect(load_settings(redis_url=url)), Path(home))
    searcher.search(QUERIES[0])
    counts: Counter[str] = Counter()
    milliseconds = []
    ready.wait()
    while not stop.is_set():
        query = QUERIES[counts["queries"] % len(QUERIES)]
        counts["queries"] += 1
        started = time.perf_counter()
        try:
            response = searcher.search(query)
        except Exception as error:
            counts["errors"] += 1
            counts[f"error {type(error).__name__}: {str(error)[:80]}"] += 1
            continue
        milliseconds.append((time.perf_counter() - started) * 1000)
        results = found(response)
        counts["empty"] += not results
        counts["short"] += 0 < len(results) < 10
        counts["mixed"] += len(results) == 10 and results != expected[response.build][query]
        counts[f"from {response.build}"] += 1
    out.put((dict(counts), milliseconds))


def replica_of(server: redis.Redis, home: Path) -> str:
    """Start a Redis that copies that server; its URL."""
    url = redis_server.ensure(home).url
    replica = redis.Redis.from_url(url)
    address = server.connection_pool.connection_kwargs
    replica.replicaof(address["host"], address["port"])
    while replica.info("replication")["master_link_status"] != "up":
        time.sleep(0.1)
    return url


def run(
    folder: Path, models: list[Path], switches: int, clients: int, pause: float, *, at_a_replica: bool
) -> dict[str, Any]:
    """Builds by these exported encoders, in turns."""
    folder.mkdir()
    home, copy = folder / "home", folder / "replica"
    redis_server.ensure(home)
    server = connect(load_settings(home=home))
    url = replica_of(server, copy) if at_a_replica else redis_server.ensure(home).url
    documents = folder / "documents.parquet"
    write_documents(documents, WORKS)
    expected: Answers = {}
    try:
        for number, model in enumerate(models):
            target = home / "artifacts" / "query_encoder" / f"{model.name}.1"
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(model)
            encoder = QueryEncoder(model)
            vectors = realistic_vectors(WORKS, encoder.dimensions, seed=number)
            source = IndexSource(documents, vectors, str(number), encoder.spec_name, encoder.fingerprint, model.name)
            record, _ = build_index(server, source, HnswSettings(ef_runtime=200), GateRules(recall=0))
            record_verdict(server, record.build, GateResult.not_compared(EVALUATION, 0, "a benchmark"))
            publish(server, record.build)
            expected[record.build] = answers(Searcher(server, home))
        context = multiprocessing.get_context("spawn")
        ready, stop, out = context.Barrier(clients + 1), context.Event(), context.Queue()
        arguments = (str(home), url, expected, ready, stop, out)
        processes = [context.Process(target=client, args=arguments) for _ in range(clients)]
        for process in processes:
            process.start()
        ready.wait()
        started = time.perf_counter()
        for _ in range(switches):
            rollback(server, home=home)
            time.sleep(pause)
        seconds = time.perf_counter() - started
        stop.set()
        parts = [out.get() for _ in processes]
        for process in processes:
            process.join()
    finally:
        redis_server.stop(home)
        if at_a_replica:
            redis_server.stop(copy)
    total: Counter[str] = Counter()
    for counts, _ in parts:
        total.update(counts)
    milliseconds = np.concatenate([part for _, part in parts])
    return {
        "switches": switches,
        "clients": clients,
        "seconds": round(seconds, 1),
        **{name: total[name] for name in ("queries", "errors", "empty", "short", "mixed")},
        "what_errors": {name: count for name, count in total.items() if name.startswith("error ")},
        "answered_by_each_build": sorted(count for name, count in total.items() if name.startswith("from ")),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "max_ms": round(float(milliseconds.max()), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=300)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, small = folder / "minilm", folder / "tiny"
        export_query_encoder(resolve("all-MiniLM-L6-v2"), large, precision="auto")
        export_query_encoder(resolve(str(make_tiny_model(folder / "tiny-model"))), small)
        models = {name: [large, small if name == "a change of encoder" else large] for name in PAUSE_SECONDS}
        results = {
            "machine": machine(),
            **{
                name: run(
                    *(folder / name, pair, options.switches, options.clients, PAUSE_SECONDS[name]),
                    at_a_replica="replica" in name,
                )
                for name, pair in models.items()
            },
        }
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
