"""A build whose queries go through another encoder than its documents did, of the same space."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builds import built, evaluated
from tiny_model import DIMENSIONS, WORDS, make_tiny_model
from tuned import register_tuned

from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.onnx_files import read_description, write_description
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.encoders.space import measured_space
from viberary_pipeline.errors import EncoderError, GateRefused
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import publish, rollback
from viberary_pipeline.redis_contract import HnswSettings, read_record, record_key
from viberary_pipeline.search.searcher import Searcher

RULES, HNSW, KEY, WORKS = GateRules(queries=20), HnswSettings(ef_runtime=200), "k" * 16, 60


class Space(NamedTuple):
    """A home with the export of a small query encoder, and works embedded by a large one."""

    home: Path
    large: QueryEncoder
    small: QueryEncoder
    source: IndexSource


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Space:
    folder = tmp_path_factory.mktemp("space")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HOME", str(folder / "hf"))
        documents = resolve(str(make_tiny_model(folder / "large")))
        student = register_tuned(folder / "home", documents, "small", size=0.03, space=documents)
        export_query_encoder(documents, folder / "large-export")
        small = folder / "home" / "artifacts" / "query_encoder" / f"{KEY}.1"
        description = export_query_encoder(student, small)
        write_description(small, {**description, "space": measured_space(student, documents)})
    large = QueryEncoder(folder / "large-export")
    random = np.random.default_rng(3)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(WORKS)]
    same = dict.fromkeys(("title", "author", "authors", "description", "link"), "x")
    rows = [
        {**same, "work_id": str(n), "book_id": str(n), "review_count": n, "publication_year": 2000, "language": "en"}
        | {"text": text, "title": text}
        for n, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")
    source = IndexSource(
        folder / "documents.parquet",
        large.encode(texts),
        *("d", "large", documents.fingerprint, KEY),
        query_encoder_name="small",
    )
    return Space(folder / "home", large, QueryEncoder(small), source)


@pytest.fixture
def space(made, tmp_path) -> Space:
    return made._replace(home=Path(shutil.copytree(made.home, tmp_path / "home")))


def test_it_is_gated_published_and_searched(client, space):
    record = built(client, space.source, RULES, encoder=space.small)
    gates = {gate["name"]: gate for gate in record.gate_results}
    assert gates["encoder_match"]["outcome"] == "passed"
    match = gates["vectors_match_texts"]
    assert (match["outcome"], match["bound"]) == ("passed", 0.5)
    assert match["figure"] > 0.8
    publish(client, record.build, home=space.home)
    assert (record.encoder, record.query_encoder_name) == ("large", "small")
    title = pq.read_table(space.source.documents)["title"][7].as_py()
    assert "7" in [hit.work_id for hit in Searcher(client, space.home).search(title).results]


def test_vectors_of_other_texts_are_refused(client, space):
    for vectors in (
        np.random.default_rng(0).permutation(space.source.vectors),
        space.source.vectors @ np.linalg.qr(np.random.default_rng(0).normal(size=(DIMENSIONS, DIMENSIONS)))[0],
    ):
        changed = replace(space.source, vectors=np.ascontiguousarray(vectors, dtype=np.float32))
        _, gates = build_index(client, changed, HNSW, RULES, encoder=space.small)
        assert [gate.name for gate in gates if gate.failed] == ["vectors_match_texts"]


def test_the_documents_of_another_space_are_refused_before_anything_is_written(client, space):
    with pytest.raises(GateRefused, match="Refused by the gate encoder_match") as caught:
        build_index(client, replace(space.source, fingerprint="0" * 16), HNSW, RULES, encoder=space.small)
    assert caught.value.found.startswith(f"fingerprint {space.small.fingerprint} of the space {space.large.space} with")
    assert client.dbsize() == 0


def test_an_export_of_another_space_is_refused_at_publish_at_rollback_and_by_the_page(client, space):
    first, second = (built(client, space.source, RULES, encoder=space.small) for _ in range(2))
    for record in (first, second):
        publish(client, record.build, home=space.home)
    folder = space.home / "artifacts" / "query_encoder" / f"{KEY}.1"
    description = read_description(folder)
    write_description(folder, {**description, "space": {**description["space"], "fingerprint": "0" * 16}})
    third = build_index(client, replace(space.source, digest="e"), HNSW, RULES, encoder=space.small)[0]
    with pytest.raises(GateRefused, match="does not share the space of the encoder that embedded it"):
        publish(client, evaluated(client, third.build).build, home=space.home)
    with pytest.raises(GateRefused, match="does not share the space of the encoder that embedded it"):
        rollback(client, home=space.home)
    with pytest.raises(EncoderError, match="does not share the space of the encoder that embedded the documents"):
        Searcher(client, space.home).search("sea")


def test_a_record_without_the_query_encoders_name_is_read(client, space):
    record = built(client, space.source, RULES, encoder=space.small)
    client.hdel(record_key(record.build), "query_encoder_name")
    assert read_record(client, record.build) == replace(record, query_encoder_name="")
    publish(client, record.build, home=space.home)
    assert json.loads(json.dumps(Searcher(client, space.home).search("sea").query)) == "sea"
