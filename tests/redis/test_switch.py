"""Switches under load: no error, no empty, short or mixed result, also where the encoder changes with the build.

`benchmarks/index_switches.py` is the long version, with processes as clients.
"""

import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builds import published
from tiny_model import make_tiny_model

from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.build import IndexSource
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import rollback
from viberary_pipeline.search.searcher import Searcher

WORKS = 400
SWITCHES = 24
QUERIES = ("revenge", "a quiet garden by the sea", "robot winter")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[int, Path]:
    """Exported encoders by their dimensions."""
    folder = tmp_path_factory.mktemp("encoders")
    for dimensions in (32, 64):
        model = make_tiny_model(folder / f"model-{dimensions}", dimensions=dimensions)
        export_query_encoder(resolve(str(model)), folder / str(dimensions))
    return {dimensions: folder / str(dimensions) for dimensions in (32, 64)}


@pytest.mark.parametrize("dimensions", [(32, 32), (32, 64)])
def test_switches_under_four_clients(client, encoders, tmp_path, dimensions):
    home = tmp_path / "home"
    rows = [
        {
            **dict.fromkeys(("title", "author", "authors", "description", "link"), f"x{n}"),
            "work_id": str(n),
            "book_id": str(n),
            "review_count": n,
            "publication_year": 2000,
        }
        for n in range(WORKS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "documents.parquet")
    expected = {}
    for number, folder in enumerate(encoders[size] for size in dimensions):
        key = f"{number}" * 16
        shutil.copytree(folder, home / "artifacts" / "query_encoder" / f"{key}.1")
        encoder = QueryEncoder(folder)
        vectors = np.random.default_rng(number).normal(size=(WORKS, encoder.dimensions)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        source = IndexSource(tmp_path / "documents.parquet", vectors, "d", "e", encoder.fingerprint, key)
        record = published(client, source, GateRules(queries=5))
        searcher = Searcher(client, home)
        expected[record.build] = {query: searcher.search(query).results for query in QUERIES}

    stop, wrong, answered = threading.Event(), [], []

    def search() -> None:
        searcher, number = Searcher(client, home), 0
        while not stop.is_set():
            query = QUERIES[number % len(QUERIES)]
            number += 1
            try:
                response = searcher.search(query)
            except Exception as error:
                wrong.append(error)
                continue
            answered.append(response.build)
            if len(response.results) != 10 or response.results != expected[response.build][query]:
                wrong.append(response)

    clients = [threading.Thread(target=search) for _ in range(4)]
    for thread in clients:
        thread.start()
    try:
        for _ in range(SWITCHES):
            seen = len(answered)
            rollback(client, home=home)
            while len(answered) < seen + 8 and not wrong:
                stop.wait(0.002)
    finally:
        stop.set()
        for thread in clients:
            thread.join()
    assert wrong == []
    assert {build: answered.count(build) > SWITCHES for build in expected} == dict.fromkeys(expected, True)
