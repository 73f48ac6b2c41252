"""txtai's hybrid search beside ours, over the same texts with the same encoders: nDCG@10 and success@10 with 95 %
bootstrap intervals, their paired difference, and milliseconds a query, asked by turns in one process.

    python benchmarks/txtai_compare.py --catalogue NAME=HOME ... --judged NAME=FOLDER ... --encoder NAME ... \\
        --cache DIR --out FILE.json

Ours is the published build of each home, as readers search it (`Searcher`, every default). txtai gets the texts of that
home's documents and its defaults: `hybrid=True`, that is its own BM25 and an exact index of the vectors, normalised and
added half and half. Its vectors come from us (`method: external`): those of documents from the home's store, or from
--cache where the home lacks the encoder (as benchmarks/encoders.py keeps them); those of queries from the exported
graph. Both times include the encoder.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from encoders import judged_sets, named_places, vectors_of
from numpy.typing import NDArray
from txtai import Embeddings

from viberary_pipeline import redis_server
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import ArtifactError, QueryError
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.machine import usable_cores
from viberary_pipeline.ranking_metrics import bootstrap, ndcg, paired_bootstrap, success
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings
from viberary_pipeline.vectors.store import EmbeddingStore

OURS = "this project"
Search = Callable[[str], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", action="append", required=True, help="NAME=HOME")
    parser.add_argument("--judged", action="append", default=[], help="NAME=FOLDER, or a file of queries")
    parser.add_argument("--encoder", action="append", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    judged = named_places(options.judged)
    machine = f"{usable_cores()} cores, {platform.machine()}, Python {platform.python_version()}"
    load = [round(value, 2) for value in os.getloadavg()]
    found: dict[str, Any] = {"machine": machine, "load_average": load, "txtai": version("txtai"), "sets": {}}
    for name, places in named_places(options.catalogue).items():
        settings = load_settings(home=places[-1])
        ours = Searcher(redis_server.connect(settings), settings.home_dir, settings.search)
        documents = settings.home_dir / "current" / "documents.parquet"
        rows = pq.read_table(documents, columns=["work_id", "text_hash", "text"])
        works = rows["work_id"].to_pylist()
        systems = {OURS: _ours(ours)}
        for encoder in options.encoder:
            systems[f"txtai, {encoder}"] = _txtai(encoder, settings.home_dir, name, rows, options.cache)
        sets = judged_sets(documents, works, judged.get(name, []))
        known = known_items(documents, 50)
        if known.name not in [asked.name for asked in sets]:
            sets.append(known)  # none where works have no authors
        for asked in (asked for asked in sets if asked.queries):
            found["sets"][f"{name}: {asked.name}"] = _compared(systems, asked)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
        redis_server.stop(settings.home_dir)
    print(json.dumps(found, indent=1))


def _ours(searcher: Searcher) -> Search:
    def search(text: str) -> list[str]:
        try:
            return [result.work_id for result in searcher.search(text, 10).results]
        except QueryError:
            return []

    return search


def _txtai(encoder: str, home: Path, catalogue: str, rows: pa.Table, cache: Path) -> Search:
    """An index of the texts; the encoder's vectors of them are looked up."""
    resolved = resolve(encoder)
    texts, works = rows["text"].to_pylist(), rows["work_id"].to_pylist()
    store = EmbeddingStore(home / "embeddings", resolved.fingerprint, resolved.spec.dimensions)
    try:
        vectors = store.vectors_for(rows["text_hash"])
    except ArtifactError:
        vectors = vectors_of(cache, encoder, catalogue, texts)
    known = dict(zip(texts, vectors, strict=True))
    graph = _graph(encoder, cache)

    def transform(asked: list[str]) -> NDArray[np.float32]:
        return np.stack([known[text] if text in known else graph.encode([text])[0] for text in asked])

    index = Embeddings({"method": "external", "transform": transform, "hybrid": True, "content": False})
    index.index(zip(works, texts, [None] * len(works), strict=True))
    return lambda text: [work for work, _ in index.search(text, 10)]


def _graph(encoder: str, cache: Path) -> QueryEncoder:
    """The encoder of queries, exported as a build does it."""
    folder = cache / f"graph.{encoder}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            export_query_encoder(resolve(encoder), Path(scratch) / "graph", precision="auto")
            (Path(scratch) / "graph").rename(folder)
    return QueryEncoder(folder)


def _compared(systems: dict[str, Search], asked: QuerySet) -> dict[str, Any]:
    """The figures of each system on a set, and of each txtai the difference of ours to it."""
    names = list(systems)
    answers: dict[str, list[list[str]]] = {name: [] for name in systems}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for number, query in enumerate(asked.queries):
        turn = number % len(systems)  # what is asked first finds the processor's caches cold
        for name in (*names[turn:], *names[:turn]):
            started = time.perf_counter()
            answers[name].append(systems[name](query.text))
            seconds[name].append(time.perf_counter() - started)
    figures: dict[str, Any] = {"queries": len(asked.queries)}
    gains = {
        name: {
            "ndcg_at_10": [ndcg(one, query.grades) for one, query in zip(mine, asked.queries, strict=True)],
            "success_at_10": [
                success(one, query.grades, asked.relevant) for one, query in zip(mine, asked.queries, strict=True)
            ],
        }
        for name, mine in answers.items()
    }
    for name in systems:
        figures[name] = {measure: _rounded(bootstrap(values)) for measure, values in gains[name].items()}
        figures[name]["query_ms"] = round(1000 * statistics.median(seconds[name]), 2)
        if name != OURS:
            figures[name]["ours_less_this"] = {
                measure: _rounded(paired_bootstrap(gains[OURS][measure], values))
                for measure, values in gains[name].items()
            }
    return figures


def _rounded(values: tuple[float, float, float]) -> list[float]:
    return [round(value, 4) for value in values]


if __name__ == "__main__":
    main()
