"""What `viberary gc` removes, and what it must not: in Redis, among the artifacts, among the jobs."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builds import built
from filelock import FileLock

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.embedding.jobs import write_job
from viberary_pipeline.encoders import REGISTRY, ResolvedEncoder
from viberary_pipeline.encoders.quantize import int8_names
from viberary_pipeline.errors import HomeBusyError, IndexBuildError
from viberary_pipeline.index.build import IndexSource
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.index.garbage import artifacts_needed, collect_garbage
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import publish
from viberary_pipeline.redis_contract import document_prefix, index_name, is_healthy, read_record, record_key
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA, table_bytes, vectors_table
from viberary_pipeline.vectors.store import EmbeddingStore

WORKS = 30


@pytest.fixture
def build(client, tmp_path):
    """Builds an index of a few works, by the encoder whose export has this key."""
    rows = [
        {
            **dict.fromkeys(("title", "author", "authors", "description", "link"), "x"),
            "work_id": str(n),
            "book_id": str(n),
            "review_count": n,
            "publication_year": 2000,
        }
        for n in range(WORKS)
    ]
    path = tmp_path / "documents.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    vectors = np.eye(WORKS, dtype=np.float32)

    def make(key: str = "k" * 16, documents: str = "") -> str:
        source = IndexSource(path, vectors, "d", "e", "f" * 16, key, documents_key=documents)
        return built(client, source, GateRules(queries=5)).build

    return make


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def produce(home, stage: str, settings: str, inputs: dict[str, str] | None = None):
    def fill(folder):
        (folder / "file").write_bytes(b"x" * 1000)
        return {}

    made = ArtifactStore(home).produce(stage, inputs=inputs or {}, settings={"s": settings}, build=fill)
    return made.artifact


def test_builds_that_nothing_needs_go_and_live_and_previous_stay(client, build, home):
    oldest, previous, live, killed = build(), build(), build(), build()
    for name in (oldest, previous, live):
        publish(client, name)
    dead = json.loads(read_record(client, killed).owner) | {"started": 1.0, "pid": 2**22 + 1}
    client.hset(record_key(killed), "owner", json.dumps(dead))
    # What no killed build leaves, but a hand may: documents, and an index, without a record.
    client.hset(f"{document_prefix('19990101T000000-dead')}1", mapping={"title": "orphan"})
    client.execute_command(
        *("FT.CREATE", index_name("19990102T000000-dead"), "ON", "HASH", "PREFIX", 1, "viberary:19990102T000000-dead"),
        *("SCHEMA", "title", "TEXT"),
    )
    client.set("of somebody else", 1)
    expected = (*sorted([oldest, killed]), "19990101T000000-dead", "19990102T000000-dead")

    planned = collect_garbage(client, home, dry_run=True)
    assert (planned.builds, planned.folders, planned.left) == (expected, (), "")
    assert sorted(known_builds(client)) == sorted([oldest, previous, live, killed])
    assert collect_garbage(client, home) == planned
    assert sorted(known_builds(client)) == sorted([previous, live])
    assert sorted(client.execute_command("FT._LIST")) == sorted(index_name(name).encode() for name in (previous, live))
    assert client.dbsize() == 2 * (WORKS + 2) + 2  # the builds, the pointer, the other's key
    assert all(is_healthy(client, read_record(client, name)) for name in (previous, live))
    assert collect_garbage(client, home).builds == ()


def test_a_build_under_way_is_not_disturbed(client, home):
    with build_lock(client), pytest.raises(IndexBuildError, match="Another build holds the lock"):
        collect_garbage(client, home)


def test_artifacts_that_nothing_needs_go(client, build, home):
    old_books = produce(home, "books", "old")
    old_documents = produce(home, "documents", "1", {"books": old_books.key})
    books = produce(home, "books", "new")
    # The current documents still come from the old books.
    assert collect_garbage(client, home).folders == ()
    documents = produce(home, "documents", "1", {"books": books.key})
    encoders = [produce(home, "query_encoder", name) for name in ("of the previous", "of the live", "of nobody", "now")]
    for encoder in encoders[:2]:
        publish(client, build(encoder.key))

    garbage = collect_garbage(client, home)
    gone = [old_books, old_documents, encoders[2]]
    assert garbage.folders == tuple(sorted(artifact.path for artifact in gone))
    assert garbage.bytes >= 3000
    assert [artifact.path.exists() for artifact in gone] == [False] * 3
    for artifact in (books, documents, *encoders[:2], encoders[3]):
        assert artifact.file("file").read_bytes() == b"x" * 1000
    assert ArtifactStore(home).current("documents") == documents


def test_documents_of_live_and_previous_builds_stay_with_what_they_were_made_from(client, build, home):
    made = []
    for name in ("unneeded", "previous", "live", "last"):
        books = produce(home, "books", name)
        made.append((books, produce(home, "documents", name, {"books": books.key})))
    for _, documents in made[:3]:
        publish(client, build(documents=documents.key))
    assert collect_garbage(client, home).folders == tuple(sorted(artifact.path for artifact in made[0]))
    assert all(artifact.path.exists() for pair in made[1:] for artifact in pair)


def test_documents_that_are_kept_for_comparison_stay_without_what_they_were_made_from(client, home):
    made = []
    for name in ("old", "compared", "now"):
        books = produce(home, "books", name)
        made.append((books, produce(home, "documents", name, {"books": books.key})))
    planned = collect_garbage(client, home, dry_run=True, keep_documents={made[1][1].key})
    assert planned.folders == tuple(sorted([*(artifact.path for artifact in made[0]), made[1][0].path]))
    assert [row[:2] for row in planned.by_kind(home)] == [("artifacts books", 2), ("artifacts documents", 1)]
    assert sum(size for _, _, size in planned.by_kind(home)) == planned.bytes


def test_each_artifact_says_what_needs_it_and_gc_removes_those_of_which_nothing_does(client, build, home):
    made = {}
    for name in ("unneeded", "compared", "previous", "live", "last"):
        books = produce(home, "books", name)
        made |= {("books", name): books, ("documents", name): produce(home, "documents", name, {"books": books.key})}
    for name in ("previous", "live"):
        publish(client, build(documents=made["documents", name].key))
    compared = {made["documents", "compared"].key}
    found = {artifact.path: (size, by) for artifact, size, by in artifacts_needed(client, home, compared)}
    assert {where: found[artifact.path][1] for where, artifact in made.items()} == {
        ("books", "unneeded"): [],
        ("documents", "unneeded"): [],
        ("books", "compared"): [],
        ("documents", "compared"): ["comparison"],
        ("books", "previous"): ["documents"],
        ("documents", "previous"): ["previous build"],
        ("books", "live"): ["documents"],
        ("documents", "live"): ["live build"],
        ("books", "last"): ["current", "documents"],
        ("documents", "last"): ["current"],
    }
    assert all(size >= 1000 for size, _ in found.values())
    removed = collect_garbage(client, home, keep_documents=compared).folders
    assert set(removed) == {path for path, (_, by) in found.items() if not by}


def test_what_a_killed_stage_left_goes(client, home):
    left = home / "artifacts" / "books" / f".tmp-{os.getpid()}-0"  # the number of a process is used again
    left.mkdir(parents=True)
    assert collect_garbage(client, home).folders == (left,)
    assert not left.exists()


def test_nothing_is_removed_beside_a_build(client, home):
    produce(home, "books", "old")
    old = produce(home, "books", "new")
    program = f"""
import pathlib
from viberary_pipeline.home_lock import hold_home
with hold_home(pathlib.Path({str(home)!r})):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as builder:
        assert builder.stdout.readline() == "held\n"
        with pytest.raises(HomeBusyError, match=f"process {builder.pid}"):
            collect_garbage(client, home)
        builder.communicate("\n")
    assert old.path.exists()
    assert len(collect_garbage(client, home).folders) == 1


def test_jobs_of_dead_builds_go_unless_their_vectors_would_be_adopted(client, build, home):
    publish(client, build())
    jobs = home / "jobs"
    texts = [pa.record_batch([["h"], ["a text"]], schema=TEXTS_SCHEMA)]
    for name, fingerprint, done in (("empty", "f", 0), ("ours", "f", 1), ("foreign", "0", 1), ("living", "0", 1)):
        encoder = ResolvedEncoder(REGISTRY["all-MiniLM-L6-v2"], home, fingerprint * 16)
        write_job(jobs / name, texts, encoder=encoder, shard_rows=8)
        if done:
            (jobs / name / "done").mkdir(exist_ok=True)
            (jobs / name / "done" / "00000.json").write_text("{}")
    with FileLock(jobs / "living.lock"):
        garbage = collect_garbage(client, home)
    assert garbage.folders == (jobs / "empty", jobs / "foreign")
    assert sorted(path.name for path in jobs.iterdir() if path.is_dir()) == ["living", "ours"]


def test_vectors_go_only_where_asked_for_and_those_of_kept_documents_stay(client, build, home):
    def documents(*texts: str):
        def fill(folder):
            pq.write_table(pa.table({"text_hash": list(texts)}), folder / "documents.parquet")
            return {}

        return ArtifactStore(home).produce("documents", inputs={}, settings={"texts": texts}, build=fill)

    def vectors_of(encoder: str, dtype: str, *texts: str) -> EmbeddingStore:
        table = vectors_table(pa.array(texts), np.eye(8, dtype=np.float32)[: len(texts)], dtype)
        data = table_bytes(table)
        folder = home / "embeddings" / encoder
        folder.mkdir(parents=True)
        (folder / f"{hashlib.sha256(data).hexdigest()}.arrow").write_bytes(data)
        return EmbeddingStore(home / "embeddings", encoder, 8, dtype=dtype)

    documents("a", "b")
    documents("b", "c")  # the current ones
    stores = [vectors_of("this", "float32", "a", "b", "c"), vectors_of("other", "float16", "a", "c", "x")]
    assert collect_garbage(client, home, dry_run=True).vectors == 0
    assert collect_garbage(client, home, dry_run=True, vectors=True).vectors == 3
    assert [len(store.known()) for store in stores] == [3, 3]
    garbage = collect_garbage(client, home, vectors=True)
    assert (garbage.vectors, len(garbage.folders)) == (3, 1)
    assert [sorted(store.known().to_pylist()) for store in stores] == [["b", "c"], ["c"]]
    assert collect_garbage(client, home, vectors=True).vectors == 0

    # Not while texts are embedded, and not where nothing tells which texts there are.
    documents("c", "d")
    (home / "jobs").mkdir()
    with FileLock(home / "jobs" / "one.lock"):
        busy = collect_garbage(client, home, vectors=True)
    assert (busy.vectors, busy.left) == (0, "vectors, because texts are being embedded")
    (home / "artifacts" / "documents" / "current.json").unlink()
    lost = collect_garbage(client, home, vectors=True)
    assert (lost.vectors, lost.left) == (0, "vectors, because there are no documents to tell which are needed")
    assert [sorted(store.known().to_pylist()) for store in stores] == [["b", "c"], ["c"]]


def test_graphs_of_encoders_that_nobody_uses_go(client, build, home):
    publish(client, build())
    ArtifactStore(home).produce("query_encoder", inputs={}, settings={}, build=lambda _: {"fingerprint": "next"})
    folders = {name: home / name for name in ("graphs/old", "graphs/next", f"graphs/{'f' * 16}", "int8/next")}
    folders |= {name: home / "int8" / name for name in (*int8_names("f" * 16), *int8_names("next"), "next-int8.1")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"x")
    gone = ("graphs/old", "int8/next", "next-int8.1")
    assert collect_garbage(client, home).folders == tuple(folders[name] for name in gone)
    assert tuple(name for name, folder in folders.items() if not folder.exists()) == gone


def test_the_graph_of_the_documents_encoder_stays_where_queries_go_through_another(client, home):
    facts = {"fingerprint": "small", "space": {"fingerprint": "large"}}
    ArtifactStore(home).produce("query_encoder", inputs={}, settings={}, build=lambda _: facts)
    for name in ("small", "large", "old"):
        (home / "graphs" / name).mkdir(parents=True)
    assert collect_garbage(client, home).folders == (home / "graphs" / "old",)
