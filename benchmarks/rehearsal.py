"""The whole flow at a catalogue's full size on one machine, three weeks in a row: seconds of each stage, memory of each
build and of Redis.

    python benchmarks/rehearsal.py --folder DIR [--books 2360000] [--reviews 15700000] [--redis-gb 20] [--out FILE]

The catalogue is made up (`viberary synth`), and each week one book in a hundred has another title. The steps: make the
files, the first build, a second and a third one, searches with and without filters, a rollback, a restart of Redis.
Each build is a process of its own, as a user runs it, with VIBERARY_DUCKDB_MEMORY_LIMIT=2GB. Redis may use --redis-gb
at most, with VIBERARY_HNSW_VECTOR_TYPE=FLOAT16 (default: 20 GB for all of UCSD's books, and in proportion for fewer).

The encoder is a stand-in, so that the texts need minutes and not a night: the first of all-MiniLM-L6-v2's six layers,
which reads 32 tokens of a text. Its vectors have the size of real ones. `spread` compares how they lie with what the
whole model gives for the same texts. The texts are made up too, so what is found means nothing: search quality is not
looked at.

A step that is done is not done again when the script is started again with the same folder and numbers. One that was
cut short is done again, and is marked: a build goes on from what it has, so its seconds are too few.

Memory is looked at every two seconds: resident, with what processes share counted once (PSS), of the build with its
workers, and of Redis with the process that saves. Anonymous memory belongs to no file: the system cannot take it back.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import psutil
import pyarrow.parquet as pq
from end_to_end import build, rewrite
from index_vectors import describe
from reporting import machine_and_versions, report

from viberary_pipeline import redis_server
from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.shortened import write_shortened
from viberary_pipeline.index.ef_runtime import EF_RUNTIMES
from viberary_pipeline.index.recall import Probes, halfway_queries
from viberary_pipeline.redis_contract import BuildRecord, is_healthy, read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import nearest_works
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings
from viberary_pipeline.synth.write import write_synthetic

FULL = 2_360_000
STAND_IN, TOKENS = "all-MiniLM-L6-v2", 32
_SHORT_SECONDS = 30
AIMS, QUERIES = (0.95, 0.97), 300
FILTERS = {
    "no filter": Filters(),
    "in English": Filters(languages=("en",)),
    "published in the nineties": Filters(years=(1990, 1999)),
    "at least 100 reviews": Filters(min_reviews=100),
}


class Steps:
    """What was measured, kept in a file after each step. Raises `SystemExit` for a file of other numbers."""

    def __init__(self, path: Path, numbers: dict[str, Any]) -> None:
        self.path = path
        new = {**numbers, "machine": machine_and_versions(), "steps": {}}
        self.done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else new
        if any(self.done[name] != value for name, value in numbers.items()):
            raise SystemExit(f"{path} is of a run with other numbers: {json.dumps(self.done)[:200]}")

    def take(self, name: str, step: Callable[[], dict[str, Any]]) -> None:
        known = self.done["steps"].get(name)
        if known is not None and "begun" not in known:
            return
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        self.done["steps"][name] = {"begun": time.strftime("%Y-%m-%d %H:%M:%S")}
        self._keep()
        self.done["steps"][name] = {**step(), **({"cut_short_before": True} if known else {})}
        self._keep()

    def _keep(self) -> None:
        self.path.write_text(json.dumps(self.done, indent=1))


class Sample(NamedTuple):
    """Megabytes at a time (seconds since 1970): of the build, its anonymous ones, and those of Redis."""

    time: float
    build: int
    build_anonymous: int
    redis: int


@contextmanager
def memory(home: Path) -> Iterator[list[Sample]]:
    """Samples of the memory of the other children of this process, and of Redis with its own, while the block runs."""
    samples: list[Sample] = []
    over = threading.Event()

    def with_children(process: psutil.Process) -> list[psutil.Process]:
        try:
            return [process, *process.children(recursive=True)]
        except psutil.Error:  # it has ended
            return []

    def held(processes: list[psutil.Process]) -> tuple[int, int]:
        total = anonymous = 0
        for process in processes:
            try:
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            except OSError:
                continue
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
            total += sizes["Pss"]
            anonymous += sizes["Pss_Anon"]
        return total >> 10, anonymous >> 10

    def watch() -> None:
        while not over.wait(2):
            server = redis_server.running(home)
            of_redis = with_children(psutil.Process(server.pid)) if server and psutil.pid_exists(server.pid) else []
            others = [process for process in with_children(psutil.Process())[1:] if process not in of_redis]
            samples.append(Sample(time.time(), *held(others), held(of_redis)[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()


def peaks(home: Path, samples: list[Sample]) -> dict[str, Any]:
    """The most megabytes of the build and of Redis: of the whole run that is the last of the home, and of each stage
    of half a minute or more (build, anonymous, redis)."""

    def most(start: float = 0, end: float = float("inf")) -> list[int]:
        within = [sample[1:] for sample in samples if start <= sample.time <= end]
        return np.max(within, axis=0).tolist() if within else [0, 0, 0]

    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs(limit=1)
        steps = sorted(instance.get_run_step_stats(run.run_id), key=lambda step: step.start_time or 0)
    return {
        **dict(zip(("build_peak_mb", "build_anonymous_peak_mb", "redis_peak_mb"), most(), strict=True)),
        "peak_mb": {
            step.step_key: most(step.start_time, step.end_time)
            for step in steps
            if step.start_time and step.end_time and step.end_time - step.start_time >= _SHORT_SECONDS
        },
    }


def stand_in(folder: Path) -> Path:
    """The encoder's folder, made once."""
    if not folder.exists():
        write_shortened(resolve(STAND_IN).folder, [0], folder)
        settings = folder / "sentence_bert_config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "max_seq_length": TOKENS}))
    return folder


def week(raw: Path, number: int) -> dict[str, Any]:
    """Another title for each hundredth book, other books each week."""
    started = time.perf_counter()

    def revised(line_number: int, line: str) -> str:
        if line_number % 100 != number:
            return line
        try:
            book = json.loads(line)
        except ValueError:
            return line
        title = str(book.get("title")).partition(", week ")[0]  # a week that was cut short is not told twice
        return json.dumps({**book, "title": f"{title}, week {number}"}) + "\n"

    rewrite(raw, "goodreads_books.json.gz", revised)
    return {"wall_seconds": round(time.perf_counter() - started, 1)}


def spread(home: Path, encoder: Path) -> dict[str, Any]:
    """How vectors of 2,000 texts lie: of the stand-in, and of the whole model."""
    from sentence_transformers import SentenceTransformer

    (texts,) = next(pq.ParquetFile(documents_of(home)).iter_batches(batch_size=2_000, columns=["text"]))
    folders = {"stand-in": encoder, STAND_IN: resolve(STAND_IN).folder}
    models = {name: SentenceTransformer(str(folder), device="cpu") for name, folder in folders.items()}
    return {
        name: describe(model.encode(texts.to_pylist(), normalize_embeddings=True)) for name, model in models.items()
    }


def documents_of(home: Path) -> Path:
    return ArtifactStore(home).current("documents").file("documents.parquet")


def searches(home: Path, settings: dict[str, str]) -> dict[str, Any]:
    """The EF_RUNTIME that each recall needs, and with it the milliseconds of a search's KNN query, with filters too."""
    pipeline = Pipeline(load_settings(home=home, encoder=settings["VIBERARY_ENCODER"]))
    client = connect(pipeline.settings)
    record = live(client)
    table = pq.read_table(documents_of(home), columns=["work_id", "text_hash"])
    embedded = str(pipeline.store.current("embeddings").facts["vectors"])
    vectors = pipeline.vectors(embedded).vectors_for(table["text_hash"])
    probes = Probes.halfway(record, vectors, table["work_id"].to_pylist(), QUERIES)
    figures: dict[str, Any] = {"works": record.documents}
    blobs = record.hnsw.to_bytes(halfway_queries(vectors, QUERIES, seed=2))
    for aim in AIMS:
        ef, recall = next(
            ((ef, recall) for ef in EF_RUNTIMES if (recall := probes.ask(client, ef).recall) >= aim), (0, 0.0)
        )
        figures[f"recall {aim}"] = {"ef_runtime": ef, "recall_at_10": round(recall, 4)} | {
            name: timed(client, replace(record, ef_runtime=ef), blobs, where.to_query())
            for name, where in FILTERS.items()
            if ef
        }
    return figures


def timed(client: Any, record: BuildRecord, blobs: list[bytes], where: str) -> dict[str, float]:
    milliseconds = []
    for blob in blobs:
        started = time.perf_counter()
        nearest_works(client, record, blob, SearchSettings().candidates, where=where)
        milliseconds.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def live(client: Any) -> BuildRecord:
    record = read_record(client, read_pointer(client).live)
    assert record is not None
    return record


def rollback(home: Path) -> dict[str, Any]:
    client = connect(load_settings(home=home))
    before, started = read_pointer(client), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "viberary_pipeline.cli", "rollback"],
        env={**os.environ, "VIBERARY_HOME": str(home)},
        check=True,
    )
    after = read_pointer(client)
    assert (after.live, after.previous) == (before.previous, before.live)
    return {"wall_seconds": round(time.perf_counter() - started, 2)}


def restart(home: Path) -> dict[str, Any]:
    started = time.perf_counter()
    redis_server.stop(home)
    stopped = time.perf_counter()
    redis_server.ensure(home, loading_seconds=4 * 3600)
    client = connect(load_settings(home=home), loading_seconds=4 * 3600)
    record = live(client)
    while not is_healthy(client, record):
        time.sleep(0.5)
    return {
        "stop_and_save_seconds": round(stopped - started, 1),
        "seconds_until_whole": round(time.perf_counter() - stopped, 1),
        "saved_mb": sum(file.stat().st_size for file in home.rglob("dump.rdb")) >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the files and VIBERARY_HOME: some 60 GB")
    parser.add_argument("--books", type=int, default=FULL)
    parser.add_argument("--reviews", type=int, default=15_700_000)
    parser.add_argument("--redis-gb", type=float)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    # What Redis needs for itself does not shrink with the catalogue.
    bound = options.redis_gb or round(0.2 + 19.8 * options.books / FULL, 2)
    raw, home = options.folder / "raw", options.folder / "home"
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "VIBERARY_ENCODER": str(stand_in(options.folder / "first-layer-of-minilm")),
        "VIBERARY_HNSW_VECTOR_TYPE": "FLOAT16",
        "VIBERARY_DUCKDB_MEMORY_LIMIT": "2GB",  # beside two indexes in Redis there are some 5 GB for all else
    }
    numbers = {"books": options.books, "reviews": options.reviews, "redis_may_use_gb": bound}
    steps = Steps(options.folder / "steps.json", numbers)

    def built() -> dict[str, Any]:
        connect(load_settings(home=home)).config_set("maxmemory", int(bound * 1e9))
        with memory(home) as samples:
            outcome = build(home, "--raw", str(raw), **settings)
        client = connect(load_settings(home=home))
        used, pointer = client.info("memory")["used_memory"], read_pointer(client)
        return {
            **outcome,
            "duckdb_memory_limit": settings["VIBERARY_DUCKDB_MEMORY_LIMIT"],
            **peaks(home, samples),
            "redis_used_mb": used >> 20,
            "previous_build_kept": bool(pointer.previous),
            "recall_at_10": live(client).recall,
        }

    def made() -> dict[str, Any]:
        started = time.perf_counter()
        write_synthetic(raw, books=options.books, reviews=options.reviews)
        packed = sum(file.stat().st_size for file in raw.iterdir())
        return {"wall_seconds": round(time.perf_counter() - started, 1), "packed_mb": packed >> 20}

    steps.take("files", made)
    redis_server.ensure(home, loading_seconds=4 * 3600)
    try:
        steps.take("first week", built)
        for number, name in ((2, "second week"), (3, "third week")):
            steps.take(f"files of the {name}", partial(week, raw, number))
            steps.take(name, built)
        steps.take("searches", lambda: searches(home, settings))
        steps.take("spread", lambda: spread(home, Path(settings["VIBERARY_ENCODER"])))
        steps.take("rollback", lambda: rollback(home))
        steps.take("restart of Redis", lambda: restart(home))
    finally:
        redis_server.stop(home)
    report(json.dumps(steps.done, indent=1), options.out)


if __name__ == "__main__":
    main()
