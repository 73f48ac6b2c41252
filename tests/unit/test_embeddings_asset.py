"""The asset `embeddings` as Dagster runs it: its settings reach the worker, and its metadata say what happened."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.assets.embeddings import embeddings
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.quantize import int8_name
from viberary_pipeline.resources import home_lock, pipeline_resource
from viberary_pipeline.settings import load_settings
from viberary_pipeline.vectors.store import EmbeddingStore

TEXTS = [f"revenge by the sea, volume {n}" for n in range(30)]
HASHES = [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]


@pytest.fixture
def home(tmp_path, tiny_encoder, tiny_graph) -> Path:
    """A home with documents, an encoder and its export, and no vectors."""
    home = tmp_path / "home"
    shutil.copytree(tiny_encoder.folder, home / "tiny")
    store = ArtifactStore(home)

    def documents(out: Path) -> dict[str, Any]:
        pq.write_table(pa.table({"text_hash": HASHES, "text": TEXTS}), out / "documents.parquet")
        return {}

    def query_encoder(out: Path) -> dict[str, Any]:
        shutil.copytree(tiny_graph, out, dirs_exist_ok=True)
        return dict(json.loads((out / "encoder.json").read_text()))

    store.produce("documents", inputs={}, settings={}, build=documents)
    store.produce("query_encoder", inputs={}, settings={}, build=query_encoder)
    return home


def materialize(home: Path, **changes: Any) -> dict[str, Any]:
    """The metadata of one run."""
    settings = load_settings(home=home, encoder=str(home / "tiny"), embedding_shard_rows=8, **changes)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [embeddings],
            instance=instance,
            resources={"pipeline": pipeline_resource(settings), "home_lock": home_lock(settings)},
        )
    (made,) = result.asset_materializations_for_node("embeddings")
    return {name: value.value for name, value in made.metadata.items()}


def vectors(home: Path) -> np.ndarray:
    key = ArtifactStore(home).current("embeddings").facts["vectors"]
    return EmbeddingStore(home / "embeddings", key, 32).vectors_for(pa.array(HASHES))


def test_a_first_run_embeds_and_a_second_reuses(home):
    first = materialize(home, embedding_stored="float16")
    assert (first["embedded"], first["reused_texts"], first["dagster/row_count"]) == (30, 0, 30)
    assert (first["device"], first["shards_retried"], first["submissions"]) == ("cpu", 0, 1)
    assert first["texts_per_second"] > 0
    assert first["tokens_per_second"] > first["texts_per_second"]
    (folder,) = (home / "embeddings").iterdir()
    assert folder.name == resolve(str(home / "tiny")).fingerprint
    assert {table.schema.field("vector").type.value_type for table in parts(home)} == {pa.float16()}
    np.testing.assert_allclose(np.linalg.norm(vectors(home), axis=1), 1, atol=1e-3)
    second = materialize(home)
    assert (second["embedded"], second["reused_texts"], second["texts_per_second"]) == (0, 30, 0.0)
    assert list((home / "jobs").iterdir()) == []


def parts(home: Path) -> list[pa.Table]:
    key = ArtifactStore(home).current("embeddings").facts["vectors"]
    return EmbeddingStore(home / "embeddings", key, 32).parts()


def test_int8_has_vectors_of_its_own(home):
    materialize(home)
    full = vectors(home)
    made = materialize(home, embedding_dtype="int8")
    key = resolve(str(home / "tiny")).fingerprint
    assert made["embedded"] == 30
    assert ArtifactStore(home).current("embeddings").facts["vectors"] == int8_name(key)
    assert sorted(path.name for path in (home / "int8" / int8_name(key)).iterdir()) == [
        "encoder.json",
        "model.int8.onnx",
        "model.onnx",
        "quality.json",
        "tokenizer.json",
    ]
    assert 0.985 < float((full * vectors(home)).sum(axis=1).mean()) < 1


def test_where_the_query_encoder_is_int8_its_documents_are_made_from_a_float32_graph_of_their_own(home):
    materialize(home)
    full, key = vectors(home), resolve(str(home / "tiny")).fingerprint
    facts = {"fingerprint": key, "precision": "int8"}
    ArtifactStore(home).produce("query_encoder", inputs={}, settings={"precision": "int8"}, build=lambda _: facts)
    EmbeddingStore(home / "embeddings", int8_name(key), 32).prune([])
    assert materialize(home, embedding_dtype="int8")["embedded"] == 30
    assert (home / "graphs" / key / "model.onnx").exists()
    # Which serves in float32 as well.
    EmbeddingStore(home / "embeddings", key, 32).prune([])
    assert materialize(home)["embedded"] == 30
    np.testing.assert_allclose(vectors(home), full, atol=1e-3)  # those were kept as float16
    # A damaged one is left alone by float32, which torch computes then, and made anew for int8.
    graph = home / "graphs" / key / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    EmbeddingStore(home / "embeddings", key, 32).prune([])
    assert materialize(home)["embedded"] == 30
    np.testing.assert_allclose(vectors(home), full, atol=1e-3)
    materialize(home, embedding_dtype="int8")
    assert graph.stat().st_size > 1000
    assert 0.985 < float((full * vectors(home)).sum(axis=1).mean()) < 1
