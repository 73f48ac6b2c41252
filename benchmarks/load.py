"""The page under load: two workers with Redis beside them, 20,000 works, beside the original's app in the same run.

    python benchmarks/load.py [--cache DIR] [--encoder DIR] [--seconds 4] [--out benchmarks/results/load.json]

At 1, 8, 32 and 128 clients, each of which asks again as soon as it is answered (no time to read: harsher than readers):

- ours, uncached: `viberary serve --workers 2` without its memory of answers, each query a new one;
- ours, cached: the same with its memory, over queries that were asked before;
- the original's app, from its description: one Flask process on Flask's own server, which holds a sentence-transformers
  model (DistilBERT's architecture, seeded weights: the real ones are a download and take the same time), FLOAT64
  vectors in an HNSW index with Redis' defaults, KNN 50 that returns every field with the vector;
- the searcher alone: two processes with eight threads each that search and nothing else. What it answers more than ours
  is what HTTP and HTML cost.

Beside requests per second stands the processor time of a request, in the page's processes and in Redis: on a crowded
machine it changes least.

The client is a process of its own with one event loop over plain sockets, and no load generator: on two cores, which
Redis and the workers need, it must cost little. The pages that are remembered reach 2,400 requests/s beside it.

The vectors are made cheaply: a twentieth of the works is embedded by its first 110 characters, the others get mixtures
of two of those. Latency does not depend on what vectors say. With --cache all that is kept for the next run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Barrier, Process, Queue
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "benchmarks")]

from reporting import machine_and_versions, report  # noqa: E402
from search_latency import documents_of, feed_seed, publish_ours  # noqa: E402

from viberary_pipeline.encoders.files import resolve  # noqa: E402
from viberary_pipeline.encoders.query_encoder import QueryEncoder  # noqa: E402
from viberary_pipeline.evaluation.queries import judged_set  # noqa: E402
from viberary_pipeline.redis_server import connect, ensure, stop  # noqa: E402
from viberary_pipeline.sample import GOLDEN  # noqa: E402
from viberary_pipeline.settings import load_settings  # noqa: E402

ENCODER = "all-MiniLM-L6-v2"
CLIENTS = (1, 8, 32, 128)
WORKERS, THREADS = 2, 8
EMBEDDED = 1000
SEED_INDEX = "seed"


# What is served


def vectors_for(documents: Path, folder: Path, encoder: QueryEncoder) -> np.ndarray:
    """float32 (works, dim), made in `folder` unless they are there."""
    path = folder / "mixed_vectors.npy"
    if not path.exists():
        texts = [text[:110] for text in pq.read_table(documents, columns=["text"])["text"].to_pylist()]
        base, chance = encoder.encode(texts[:EMBEDDED]), np.random.default_rng(0)
        left, right = chance.integers(0, len(base), (2, len(texts)))
        mixed = base[left] + chance.uniform(0.2, 1, (len(texts), 1)) * base[right]
        mixed += chance.normal(0, 0.02, mixed.shape)
        np.save(path, (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32))
    return np.load(path)


def exported(home: Path, given: Path | None, cache: Path) -> Path:
    """The folder of the query encoder in `home`: the given one, or one that is exported."""
    folder, target = home / "artifacts" / "query_encoder" / "benchmark.0", given or cache / "encoder"
    folder.parent.mkdir(parents=True)
    if not target.exists():
        from viberary_pipeline.encoders.onnx_export import export_query_encoder

        export_query_encoder(resolve(ENCODER), target, precision="auto")
    folder.symlink_to(target.absolute())
    return folder


def queries_for(documents: Path, count: int) -> list[str]:
    """So many different queries: vibes, each with a word of some title."""
    vibes = [query.text for query in judged_set(GOLDEN).queries]
    titles = pq.read_table(documents, columns=["title"])["title"].to_pylist()
    words = sorted({word.lower() for title in titles for word in re.findall(r"[A-Za-z]{4,}", title)})
    pairs = [f"{vibe} {word}" for word in words for vibe in vibes]
    return random.Random(0).sample(pairs, min(count, len(pairs)))


# The servers


@contextlib.contextmanager
def running(command: list[str], port: int, environment: dict[str, str], probe: str) -> Iterator["Served"]:
    """A server in processes of its own, once `probe` is answered with 200."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=60):
                break
            if process.poll() is not None or time.perf_counter() > started + 180:
                raise SystemExit(f"{' '.join(command)} does not answer")
            time.sleep(0.02)
        yield Served(port, process, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(60)


class Served:
    """A server that runs: its port, its first process, the seconds from its start to its first answer."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.port, self.seconds, self.process = port, seconds, psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(each.cpu_times().user + each.cpu_times().system for each in processes)

    def memory(self) -> dict[str, float]:
        """Megabytes by process: unique to it (USS), and its part of what is shared as well (PSS)."""
        processes = self.process.children() or [self.process]
        full = [process.memory_full_info() for process in processes]
        return {
            "processes": len(full),
            "uss_mb": round(sum(each.uss for each in full) / len(full) / 1e6, 1),
            "pss_mb": round(sum(each.pss for each in full) / len(full) / 1e6, 1),
        }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ours(home: Path, redis_url: str, **settings: Any) -> contextlib.AbstractContextManager[Served]:
    """`viberary serve` with two workers."""
    port = free_port()
    given = {f"VIBERARY_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {"VIBERARY_HOME": str(home), "VIBERARY_REDIS_URL": redis_url, "PYTHONPATH": str(ROOT), **given}
    command = [sys.executable, "-m", "viberary_pipeline.cli", "serve", "--port", str(port), "--workers", str(WORKERS)]
    return running(command, port, environment, "/readyz")


SEED = '''
import sys
import numpy as np
import redis
from flask import Flask, render_template_string, request
from redis.commands.search.query import Query
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
client = redis.Redis.from_url(sys.argv[2])
app = Flask(__name__)
PAGE = """<html><body><form action="/search"><input name="query" value="{{ query }}"></form><ul>
{% for book in books %}<li><a href="{{ book.link }}">{{ book.title }}</a> {{ book.author }} {{ book.review_count }}
{{ book.score }}</li>{% endfor %}</ul></body></html>"""
KNN = Query("*=>[KNN 50 @vector $vec AS score]").sort_by("score").paging(0, 50).dialect(2)
KNN = KNN.return_fields("title", "author", "link", "review_count", "score").return_field("vector", decode_field=False)

@app.route("/search")
def search():
    query = request.args["query"]
    blob = model.encode(query, show_progress_bar=False).astype(np.float64).tobytes()
    seen = {}
    for document in client.ft("seed").search(KNN, query_params={"vec": blob}).docs:
        seen.setdefault(document.title, document)
    return render_template_string(PAGE, query=query, books=list(seen.values())[:10])

import logging
logging.getLogger("werkzeug").setLevel(logging.ERROR)
app.run(port=int(sys.argv[3]), threaded=True)
'''


def seed(model: Path, redis_url: str) -> contextlib.AbstractContextManager[Served]:
    """The original's app."""
    port = free_port()
    command = [sys.executable, "-c", SEED, str(model), redis_url, str(port)]
    return running(command, port, {"PYTHONWARNINGS": "ignore"}, "/search?query=x")


# The load


async def ask(port: int, path: str, streams: list[Any]) -> tuple[int, bytes]:
    """Status and body of a GET, over the connection in `streams`, or over a new one."""
    if not streams:
        streams[:] = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = streams
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: viberary\r\nAccept: text/html\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        body = await (reader.readexactly(int(length[1])) if length else reader.read())
        if b"connection: close" in head or not length:
            writer.close()
            streams.clear()
        return int(head[9:12]), body
    except BaseException:
        writer.close()
        streams.clear()
        raise


async def press(port: int, queries: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """What so many clients are answered in so many seconds, and how long the answers took."""
    taken: list[float] = []
    refused: list[float] = []
    statuses: Counter[str] = Counter()
    number, until = 0, time.perf_counter() + seconds

    async def client() -> None:
        nonlocal number
        streams: list[Any] = []
        while time.perf_counter() < until:
            query, number = queries[number % len(queries)], number + 1
            started = time.perf_counter()
            try:
                status, body = await ask(port, f"/search?{urllib.parse.urlencode({'query': query})}", streams)
            except (OSError, asyncio.IncompleteReadError) as error:
                statuses[type(error).__name__] += 1
                continue
            statuses[str(status)] += 1
            (taken if status == 200 else refused).append(time.perf_counter() - started)
            if status == 503:
                await asyncio.sleep(1)  # what Retry-After asks for
            assert status != 200 or b"</html>" in body
        if streams:
            streams[1].close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    wall = time.perf_counter() - started
    return {
        "clients": clients,
        "per_second": round(len(taken) / wall, 1),
        **milliseconds(taken),
        "answers": dict(statuses),
        **({"refused_p99_ms": milliseconds(refused)["p99_ms"]} if refused else {}),
    }


def milliseconds(taken: list[float]) -> dict[str, float]:
    return {f"p{part}_ms": round(1000 * float(np.percentile(taken or [0], part)), 1) for part in (50, 95, 99)}


def redis_seconds(client: Any) -> float:
    """Processor time of Redis so far."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def pressed(page: Served, client: Any, queries: list[str], seconds: float) -> list[dict[str, Any]]:
    """`press` at all numbers of clients, in a process of its own, each over queries that were not asked before."""
    figures, share = [], len(queries) // len(CLIENTS)
    for place, clients in enumerate(CLIENTS):
        part = queries[place * share : (place + 1) * share]
        before = page.cpu_seconds(), redis_seconds(client)
        program = (
            f"import asyncio, json, sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); import load; "
            f"print(json.dumps(asyncio.run(load.press({page.port}, json.load(sys.stdin), {clients}, {seconds}))))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(part),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        figure = json.loads(done.stdout)
        answers = sum(figure["answers"].values())
        figure["page_cpu_ms"] = round(1000 * (page.cpu_seconds() - before[0]) / answers, 2)
        figure["redis_cpu_ms"] = round(1000 * (redis_seconds(client) - before[1]) / answers, 2)
        figures.append(figure)
    return figures


# The searcher alone


def searching(home: Path, redis_url: str, queries: list[str], seconds: float, start: Any, counts: Any) -> None:
    """One process that searches from eight threads; puts how often, and the times, into `counts`."""
    from viberary_pipeline.search.searcher import Searcher

    settings = load_settings(home=home, redis_url=redis_url)
    searcher = Searcher(connect(settings), home, settings.search)
    for query in queries[:20]:
        searcher.search(query)
    rest, lock, taken = iter(queries[20:]), threading.Lock(), list[float]()
    start.wait()
    before, until = time.process_time(), time.perf_counter() + seconds

    def search() -> None:
        while time.perf_counter() < until:
            with lock:
                query = next(rest)
            started = time.perf_counter()
            searcher.search(query)
            taken.append(time.perf_counter() - started)

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(search) for _ in range(THREADS)]:
            done.result()
    counts.put((taken, time.process_time() - before))


def searcher_alone(home: Path, redis_url: str, queries: list[str], seconds: float) -> dict[str, Any]:
    """What two processes answer without HTTP and HTML."""
    start, counts = Barrier(WORKERS), Queue()
    share = len(queries) // WORKERS
    processes = [
        Process(
            target=searching,
            args=(home, redis_url, queries[share * place : share * (place + 1)], seconds, start, counts),
        )
        for place in range(WORKERS)
    ]
    for process in processes:
        process.start()
    found = [counts.get(timeout=300) for _ in processes]
    taken = [each for times, _ in found for each in times]
    for process in processes:
        process.join()
    cpu = round(1000 * sum(cpu for _, cpu in found) / len(taken), 2)
    return {"per_second": round(len(taken) / seconds, 1), **milliseconds(taken), "page_cpu_ms": cpu}


@contextlib.contextmanager
def library(cache: Path | None, encoder: Path | None) -> Iterator[tuple[Path, Any, str, Path, Path, np.ndarray]]:
    """A home with a live build: home, client, Redis' address, the kept files, documents, vectors."""
    with tempfile.TemporaryDirectory(prefix="viberary-load-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        kept = cache or Path(scratch) / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        query_encoder = QueryEncoder(exported(home, encoder, kept), threads=os.cpu_count() or 1)
        documents = documents_of(kept)
        vectors = vectors_for(documents, kept, query_encoder)
        url = ensure(home).url
        try:
            client = connect(load_settings(home=home, redis_url=url))
            publish_ours(client, documents, vectors, query_encoder)
            yield home, client, url, kept, documents, vectors
        finally:
            stop(home)


def ratio(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """How much more is answered, and how much less processor time an answer takes."""
    cpu = [one["page_cpu_ms"] + one["redis_cpu_ms"] for one in (theirs, ours)]
    return {
        "per_second": round(ours["per_second"] / theirs["per_second"], 1),
        "cpu_ms": round(cpu[0] / cpu[1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="keep documents, vectors and the encoder there")
    parser.add_argument("--encoder", type=Path, help="an exported query encoder; else one is exported")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    results = machine_and_versions()
    with library(options.cache, options.encoder) as (home, client, url, kept, documents, vectors):
        from distilbert import DIMENSIONS, make_distilbert
        from search_latency import widened

        queries = queries_for(documents, 40_000)
        few = queries[:200]
        results["works"] = len(vectors)
        figures: dict[str, Any] = {}
        with ours(home, url, web_cache=0) as page:
            results["cold_start_seconds"] = round(page.seconds, 2)
            figures["ours, uncached"] = pressed(page, client, queries[:20_000], options.seconds)
            results["memory_per_worker"] = page.memory()
        figures["searcher alone"] = searcher_alone(home, url, queries[20_000:], options.seconds)
        with ours(home, url, web_cache=64) as page:
            for _ in range(2 * WORKERS):
                asyncio.run(press(page.port, few, 4, options.seconds))  # each worker remembers
            figures["ours, cached"] = pressed(page, client, few * len(CLIENTS), options.seconds)
        feed_seed(client, SEED_INDEX, documents, widened(vectors, DIMENSIONS))
        model = kept / "distilbert"
        with seed(model if model.exists() else make_distilbert(model), url) as page:
            figures["the original's app"] = pressed(page, client, queries[20_000:], options.seconds)
            results["memory_of_the_original"] = page.memory()
    at_32 = {name: of[CLIENTS.index(32)] for name, of in figures.items() if name != "searcher alone"}
    uncached, alone = at_32["ours, uncached"], figures["searcher alone"]
    results |= {
        "load": figures,
        "at_32_clients": {
            "times_the_original": ratio(at_32["the original's app"], uncached),
            "times_the_original_cached": ratio(at_32["the original's app"], at_32["ours, cached"]),
            "share_of_http_and_html": {
                "per_second": round(1 - uncached["per_second"] / alone["per_second"], 2),
                "page_cpu_ms": round(1 - alone["page_cpu_ms"] / uncached["page_cpu_ms"], 2),
            },
        },
    }
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
