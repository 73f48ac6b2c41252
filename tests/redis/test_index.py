"""Build, gates, publish, rollback and removal on a real Redis with search."""

import json
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builds import evaluated

from viberary_pipeline import redis_contract
from viberary_pipeline.errors import GateRefused, IndexBuildError, SearchError
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import known_builds, remove_build, remove_unneeded
from viberary_pipeline.index.ef_runtime import needed_ef_runtime
from viberary_pipeline.index.gate_result import INDEX_GATES
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import publish, rollback, save, standing_build
from viberary_pipeline.index.recall import halfway_queries, recall_at_k
from viberary_pipeline.index.room import estimated_bytes
from viberary_pipeline.redis_contract import (
    ALIAS,
    LOCK,
    PAGE_FIELDS,
    HnswSettings,
    Pointer,
    document_prefix,
    field_text,
    index_info,
    index_name,
    is_healthy,
    page_fields,
    read_pointer,
    read_record,
    record_key,
)
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.retrieval import find, find_like
from viberary_pipeline.search.searcher import Hit, hit_of
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

DIM = 16


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def source(tmp_path):
    def make(count: int = 300, *, seed: int = 0, digest: str = "d") -> IndexSource:
        path = tmp_path / f"documents-{count}-{seed}.parquet"
        rows = [
            {
                "work_id": f"w{n}",
                "book_id": str(n),
                "title": f"Title {n} é",
                "author": "First",
                "authors": "First, Second" if n % 2 else "First",
                "description": None if n == 0 else f"About {n}",
                "link": f"https://example.org/{n}",
                "review_count": n,
                "publication_year": None if n == 0 else 1900 + n % 100,
                "language": None if n == 0 else "en",
            }
            for n in range(count)
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        return IndexSource(path, unit_vectors(count, seed), digest, "test-encoder", "f" * 16, "k" * 16)

    return make


HNSW = HnswSettings(ef_runtime=200)


def build(client, source, hnsw=HNSW, **rules):
    record, gates = build_index(client, source, hnsw, GateRules(queries=50, loss=1, **rules))
    return evaluated(client, record.build) if record.state == "ready" else record, gates


def test_a_build_is_whole_gated_and_not_yet_visible(client, source):
    record, gates = build(client, source(300))
    figures = {gate.name: (gate.passed, gate.figure) for gate in gates}
    passed, milliseconds = figures.pop("latency_p95_ms")
    assert (passed, 0 < milliseconds < 100) == (True, True)
    assert figures == {
        "encoder_match": (None, None),  # those that read words need an encoder
        "document_count": (True, 300),
        "indexing_failures": (True, 0),
        "documents_kept": (None, None),
        "vectors_match_texts": (None, None),
        "recall_at_10": (True, 1.0),
        "full_results": (True, 1.0),
        "canaries": (None, None),
    }
    assert tuple(gate.name for gate in gates) == INDEX_GATES
    assert read_record(client, record.build) == record
    assert (record.state, record.documents, record.dim, record.recall) == ("ready", 300, DIM, 1.0)
    assert index_info(client, record.build) == {"num_docs": 300, "indexing": False, "failures": 0}
    # max_doc_id above num_docs would mean that documents were indexed twice.
    assert int(client.ft(index_name(record.build)).info()["max_doc_id"]) == 300
    assert read_pointer(client) == Pointer("", "")
    assert client.execute_command("FT._LIST") == [index_name(record.build).encode()]


def test_a_query_looks_as_far_as_the_finished_index_needs(client, source, monkeypatch):
    """A poor graph of vectors without neighbourhoods: the estimate that it was created with finds half of them."""
    vectors = np.random.default_rng(1).standard_normal((4000, 64), dtype=np.float32)
    data = replace(source(4000), vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    hnsw = HnswSettings(m=4, ef_construction=16, ef_runtime=20)
    rules = GateRules(queries=50, loss=1)
    fixed, gates = build_index(client, data, hnsw, rules)
    assert (fixed.state, fixed.ef_runtime, fixed.recall < 0.8) == ("refused", 20, True)
    assert [gate.name for gate in gates if gate.failed] == ["recall_at_10"]
    said: list[str] = []
    record, _ = build_index(client, data, replace(hnsw, ef_runtime=None), rules, say=said.append)
    assert record.state == "ready"
    assert record.ef_runtime > 200
    assert record.recall >= 0.97
    assert f"EF_RUNTIME {record.ef_runtime}, to find 0.97 of the true ten nearest" in said
    assert read_record(client, record.build) == record
    # Readers' queries ask for it, whatever the index itself says.
    asked: list[str] = []
    execute = client.execute_command

    def listen(*command, **options):
        if "KNN" in str(command[2:3]):
            asked.append(command[2])
        return execute(*command, **options)

    monkeypatch.setattr(client, "execute_command", listen)
    tuning = SearchSettings(lexical_weight=0, find_names=False, per_author=0)
    find(client, record, "x", lambda _: data.vectors[0], 10, filters=Filters(), tuning=tuning, if_live=False)
    find_like(client, record, f"{document_prefix(record.build)}w0".encode(), 10, filters=Filters())
    assert len(asked) == 2
    assert all(f"EF_RUNTIME {record.ef_runtime} " in query for query in asked)


def test_an_ef_runtime_that_is_set_makes_another_index_than_one_that_is_measured():
    """The stage names an index by the text of these settings."""
    texts = {repr(HnswSettings(**fields)) for fields in ({}, {"ef_runtime": 200}, {"m": 8})}
    assert len(texts) == 3


def test_where_nothing_is_enough_a_query_looks_as_far_as_it_pays(client, source):
    """Half of the works are in no index: looking further finds no more of them."""
    data = source(300)
    record, _ = build(client, data)
    for row in range(0, 300, 2):
        client.unlink(f"{document_prefix(record.build)}w{row}")
    found = needed_ef_runtime(client, record, data.vectors, data.documents, aim=0.97, queries=50)
    assert found == 200


def test_a_document_holds_all_that_is_known_of_a_work(client, source, tmp_path):
    data = source(20)
    rows = pq.read_table(data.documents).to_pylist()
    rows[0] |= {
        "description": "x" * 601,
        "publication_year": -720,
        "year_of": "work",
        "language": "de",
        "average_rating": 3.25,
        "ratings_count": 12,
        "contributors": [{"name": "Jr., Ann", "role": ""}, {"name": "Bob", "role": "Illustrator"}],
        "genres": ["fantasy, paranormal", "a|b", *"cdef"],
        "shelves": ["unused"],
        "reviews": ["r" * 500 + ". And cut in the mid", "s" * 101 + ".", "Short."],
        "series": ["Earthsea"],
        "editions": 20,
        "edition_list": [{"book_id": "0", "title": "T", "year": None, "isbn": "1"}],
    }
    path = tmp_path / "documents.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    record, _ = build(client, replace(data, documents=path))
    stored = client.hgetall(f"{document_prefix(record.build)}w0")
    told = {name: field_text(name, stored[name.encode()]) for name in PAGE_FIELDS}
    assert told == {
        "work_id": "w0",
        "book_id": "0",
        "title": "Title 0 é",
        "author": "First",
        "description": "x" * 600,
        "link": "https://example.org/0",
        "review_count": "0",
        "year": "-720",
        "language": "de",
        "genre_tags": "fantasy, paranormal|a b|c|d|e",
        "card": told["card"],
    }
    assert json.loads(told["card"]) == {
        "description_rest": "x",
        "year_of": "work",
        "rating": 3.25,
        "ratings_count": 12,
        "contributors": [["Jr., Ann", ""], ["Bob", "Illustrator"]],
        "reviews": ["r" * 500 + "."],
    }
    assert json.loads(field_text("details", stored[b"details"])) == {
        "series": ["Earthsea"],
        "edition_count": 20,
        "editions": [{"book_id": "0", "title": "T", "isbn": "1"}],
    }
    assert hit_of(told) == Hit(
        rank=0,
        score=0.0,
        book_id="0",
        work_id="w0",
        title="Title 0 é",
        author="First",
        link="https://example.org/0",
        review_count=0,
        description="x" * 601,
        year=-720,
        year_of="work",
        language="de",
        rating=3.25,
        ratings_count=12,
        genres=("fantasy, paranormal", "a b", "c", "d", "e"),
        contributors=(("Jr., Ann", ""), ("Bob", "Illustrator")),
        reviews=("r" * 500 + ".",),
    )


@pytest.mark.parametrize("name", ["card", "details"])
def test_what_the_page_shows_is_compressed_where_that_makes_it_shorter(name: str) -> None:
    reviews = ["The sea, the sea, and nothing but the sea."] * 20
    row = dict.fromkeys(("work_id", "book_id", "title", "description", "authors", "author", "link"), "") | {
        "review_count": 0,
        "publication_year": None,
    }
    short = page_fields({**row, "average_rating": 4.5, "editions": 2})[name]
    assert field_text(name, short) == short.decode()
    assert json.loads(short) == {"card": {"rating": 4.5}, "details": {"edition_count": 2}}[name]
    long = page_fields({**row, "reviews": reviews, "series": reviews})[name]
    assert len(long) < 200
    assert json.loads(field_text(name, long)) == {"card": {"reviews": reviews}, "details": {"series": reviews}}[name]
    with pytest.raises(SearchError, match="cannot be read"):
        field_text(name, long[:-9])
    assert field_text("title", long) == long.decode(errors="replace")


def test_of_an_older_build_there_is_what_its_documents_hold():
    told = dict.fromkeys(PAGE_FIELDS, "") | {"title": "T", "author": "Ann B., Carl (Ill.), (odd", "review_count": "3"}
    assert hit_of(told) == Hit(
        *(0, 0.0, "", "", "T", "Ann B., Carl (Ill.), (odd", "", 3),
        contributors=(("Ann B.", ""), ("Carl", "Ill."), ("odd", "")),
    )


def test_a_document_holds_what_the_page_shows_and_its_vector(client, source):
    data = source(20)
    record, _ = build(client, data)
    stored = client.hgetall(f"{document_prefix(record.build)}w0")
    assert stored.pop(b"vector") == data.vectors[0].tobytes()
    assert stored == {
        b"work_id": b"w0",
        b"book_id": b"0",
        b"title": "Title 0 é".encode(),
        b"author": b"First",
        b"description": b"",
        b"link": b"https://example.org/0",
        b"review_count": b"0",
        # A year that is not known is no field: an empty number would keep the document out of the index.
        b"title_keys": b"title0e",
        b"author_keys": b"first",
        b"names": b"title 0 e first",
        b"language": b"und",
    }
    assert client.hget(f"{document_prefix(record.build)}w1", "author") == b"First, Second"


@pytest.mark.parametrize(("kind", "link"), [("sample", b""), ("given", b"https://example.org/1")])
def test_the_invented_addresses_of_the_bundled_sample_are_not_shown(client, source, kind, link):
    record, _ = build(client, replace(source(20), source=kind))
    assert client.hget(f"{document_prefix(record.build)}w1", "link") == link


@pytest.mark.parametrize(
    ("works", "wanted", "stored"),
    [(299, None, "FLOAT32"), (300, None, "FLOAT16"), (300, "FLOAT32", "FLOAT32"), (299, "FLOAT16", "FLOAT16")],
)
def test_a_large_index_has_small_vectors_unless_told_otherwise(client, source, monkeypatch, works, wanted, stored):
    monkeypatch.setattr(redis_contract, "FLOAT16_FROM", 300)
    data = source(works)
    record, _ = build(client, data, HnswSettings(vector_type=wanted))
    assert (record.state, record.type) == ("ready", stored)
    blob = client.hget(f"{document_prefix(record.build)}w7", "vector")
    assert len(blob) == DIM * {"FLOAT32": 4, "FLOAT16": 2}[stored]
    (hit, *_) = nearest(client, record.build, record.hnsw.to_bytes(data.vectors[7:8])[0], 3, fields=("work_id",))
    assert hit["work_id"] == "w7"
    assert estimated_bytes(works, DIM, HnswSettings()) == estimated_bytes(works, DIM, HnswSettings().for_works(works))


@pytest.mark.parametrize("vector_type", ["FLOAT32", "FLOAT16"])
def test_knn_gives_the_exact_neighbours_best_first(client, source, vector_type):
    data = source(300)
    record, _ = build(client, data, HnswSettings(vector_type=vector_type))
    query = unit_vectors(1, seed=9)[0]
    hits = nearest(client, record.build, record.hnsw.to_bytes(query[None])[0], 25, fields=("work_id",))
    exact = data.vectors @ query
    order = np.argsort(-exact)[:25]
    assert [hit["work_id"] for hit in hits] == [f"w{row}" for row in order]
    assert [hit["score"] for hit in hits] == pytest.approx(exact[order], abs=2e-3 if vector_type == "FLOAT16" else 1e-6)


@pytest.mark.parametrize("bad", ["nan", "zero", "long", "missing", "flat"])
def test_vectors_that_redis_would_silently_mishandle_are_refused(client, source, bad):
    data = source(50)
    vectors = data.vectors.copy()
    if bad == "nan":
        vectors[7, 3] = np.nan
    elif bad == "zero":
        vectors[7] = 0
    elif bad == "long":
        vectors[7] *= 1.01
    elif bad == "missing":
        vectors = vectors[:-1]
    else:
        vectors = vectors.ravel()
    with pytest.raises(IndexBuildError, match="The vectors cannot be indexed"):
        build(client, IndexSource(data.documents, vectors, "d", "e", "f", "k"))
    assert client.dbsize() == 0


def test_a_refused_build_is_cleaned_away_and_the_live_one_stays(client, source):
    live, _ = build(client, source(100))
    publish(client, live.build)
    refused, gates = build(client, source(300, seed=1), p95_ms=1e-6)
    assert [gate.name for gate in gates if gate.failed] == ["latency_p95_ms"]
    assert known_builds(client) == [live.build]
    assert read_pointer(client) == Pointer(live.build, "")
    assert client.execute_command("FT._LIST") == [index_name(live.build).encode()]
    assert list(client.scan_iter(f"{document_prefix(refused.build)}*")) == []
    with pytest.raises(IndexBuildError, match="is gone"):
        publish(client, refused.build)


def test_a_build_that_redis_refuses_midway_is_cleaned_away(client, source, monkeypatch):
    live, _ = build(client, source(100))
    publish(client, live.build)
    used = client.info("memory")["used_memory"]
    monkeypatch.setattr("viberary_pipeline.index.build.preflight", lambda *_, **__: None)  # others write there, too
    client.config_set("maxmemory", used + 400_000)
    try:
        with pytest.raises(IndexBuildError, match="Redis refused a part"):
            build(client, source(20_000, seed=2))
    finally:
        client.config_set("maxmemory", 0)
    assert known_builds(client) == [live.build]
    assert is_healthy(client, read_record(client, read_pointer(client).live))


def test_publish_rollback_and_forward_again(client, source):
    first, second = (build(client, source(100, seed=seed))[0] for seed in (0, 1))
    publish(client, first.build)
    assert read_pointer(client) == Pointer(first.build, "")
    with pytest.raises(IndexBuildError, match="no build to go back to"):
        rollback(client)
    publish(client, second.build)
    assert read_pointer(client) == Pointer(second.build, first.build)
    assert [read_record(client, build).state for build in (first.build, second.build)] == ["previous", "live"]
    assert rollback(client).build == first.build
    assert read_pointer(client) == Pointer(first.build, second.build)
    # The alias that other programs query moved with the pointer.
    query = client.ft(ALIAS).info()
    assert query["index_name"] in (index_name(first.build), index_name(first.build).encode())
    assert rollback(client).build == second.build


def test_rollback_refuses_a_previous_build_that_is_no_longer_whole(client, source):
    first, second = (build(client, source(100, seed=seed))[0] for seed in (0, 1))
    publish(client, first.build)
    publish(client, second.build)
    client.unlink(f"{document_prefix(first.build)}w5")
    with pytest.raises(GateRefused, match="not fit to be published"):
        rollback(client)
    assert read_pointer(client) == Pointer(second.build, first.build)


def test_only_live_and_previous_are_kept(client, source):
    builds = []
    for seed in range(4):
        record, _ = build(client, source(40, seed=seed))
        publish(client, record.build)
        builds.append(record.build)
    removed = remove_unneeded(client)
    assert sorted(removed) == sorted(builds[:2])
    assert sorted(known_builds(client)) == sorted(builds[2:])
    # 40 documents and a record each, and the pointer.
    assert client.dbsize() == 2 * 42 + 1
    with pytest.raises(IndexBuildError, match="live build cannot be removed"):
        remove_build(client, builds[3])


def _build_until_killed(url: str, parquet: str) -> None:
    """A build that stops half-way through the feed, to be killed there."""
    import viberary_pipeline.index.build as module

    client = connect(load_settings(redis_url=url))
    data = IndexSource(parquet, unit_vectors(2000), "d", "e", "f", "k")

    def hang_after_the_first_portion() -> None:
        client.set("half-way", 1)
        time.sleep(60)

    with build_lock(client):
        module.build_index(
            client,
            data,
            HnswSettings(ef_runtime=200),
            GateRules(recall=0, queries=1),
            check_lock=hang_after_the_first_portion,
        )


def test_a_killed_build_loses_its_lock_and_is_removed_by_the_next(client, source):
    live, _ = build(client, source(50))
    publish(client, live.build)
    url = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}"
    parquet = source(2000).documents
    process = multiprocessing.get_context("spawn").Process(target=_build_until_killed, args=(url, parquet))
    process.start()
    while not client.exists("half-way"):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    client.delete("half-way")
    assert len(known_builds(client)) == 2
    started = time.monotonic()
    with build_lock(client):
        assert len(remove_unneeded(client)) == 1
    assert time.monotonic() - started < 10, "the dead builder's lock was waited for"
    assert known_builds(client) == [live.build]
    assert client.dbsize() == 50 + 2 + 1
    assert is_healthy(client, read_record(client, read_pointer(client).live))


def test_a_publish_without_memory_moves_neither_alias_nor_pointer(client, source):
    """A script that fails half-way is not undone: Redis must refuse it before its first command."""
    first, second = (build(client, source(100, seed=seed))[0] for seed in (0, 1))
    publish(client, first.build)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(IndexBuildError, match="out of memory"):
            publish(client, second.build)
    finally:
        client.config_set("maxmemory", 0)
    assert read_pointer(client) == Pointer(first.build, "")
    assert client.ft(ALIAS).info()["index_name"] in (index_name(first.build), index_name(first.build).encode())
    assert publish(client, second.build).state == "live"


def test_room_for_one_more_index_is_asked_for_first(client, source):
    live, _ = build(client, source(100))
    publish(client, live.build)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
    try:
        with pytest.raises(IndexBuildError, match="no room for another index") as caught:
            build(client, source(1000, seed=1))
    finally:
        client.config_set("maxmemory", 0)
    assert caught.value.expected == "about 6 MB free for 1,000 documents of 16 dimensions"
    assert known_builds(client) == [live.build]


def test_the_estimate_covers_what_an_index_really_takes(client, source):
    before = client.info("memory")["used_memory"]
    build(client, source(5000))
    taken = client.info("memory")["used_memory"] - before
    assert taken < estimated_bytes(5000, DIM, HNSW) < 10 * taken


def test_rollback_needs_no_lock(client, source):
    """A bad index must be retractable while the next one is being built."""
    first, second = (build(client, source(100, seed=seed))[0] for seed in (0, 1))
    publish(client, first.build)
    publish(client, second.build)
    with build_lock(client):
        assert rollback(client).build == first.build
    assert read_pointer(client) == Pointer(first.build, second.build)


def test_a_build_that_awaits_its_publish_is_kept_while_its_process_lives(client, source):
    ours, dead, elsewhere, old = (build(client, source(40, seed=seed))[0] for seed in range(4))
    owner = json.loads(ours.owner)
    client.hset(record_key(dead.build), "owner", json.dumps({**owner, "started": 1.0, "pid": 2**22 + 1}))
    client.hset(record_key(elsewhere.build), "owner", json.dumps({**owner, "host": "elsewhere"}))
    client.hset(
        record_key(old.build),
        mapping={"owner": json.dumps({**owner, "host": "elsewhere"}), "created": "2026-01-01T00:00:00+00:00"},
    )
    assert sorted(remove_unneeded(client)) == sorted([dead.build, old.build])
    assert sorted(known_builds(client)) == sorted([ours.build, elsewhere.build])


def test_a_standing_build_must_pass_the_bound_of_today(client, source):
    record, _ = build(client, source(100, digest="same"))
    publish(client, record.build)
    client.hset(record_key(record.build), "recall", "0.97")
    assert standing_build(client, "same", 0.95).build == record.build
    assert standing_build(client, "same", 0.98) is None
    assert standing_build(client, "other", 0.95) is None


def test_what_is_saved_survives_and_is_known_to_be(client, source):
    record, _ = build(client, source(40))
    publish(client, record.build)
    assert read_record(client, record.build).saved == ""
    before = client.info("persistence")["rdb_saves"]
    assert save(client, record.build)
    assert client.info("persistence")["rdb_saves"] == before + 1
    assert read_record(client, record.build).saved > record.created[:10]
    # What comes back after another publish has to be saved anew.
    other, _ = build(client, source(40, seed=1))
    publish(client, other.build)
    rollback(client)
    assert read_record(client, record.build).saved == ""


def test_one_builder_at_a_time(client):
    order = []

    def second() -> None:
        with build_lock(client):
            order.append("second")

    with build_lock(client) as check:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.6)
        check()
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert client.get(LOCK) is None


def test_a_lock_that_came_back_with_redis_is_taken_over_by_the_process_that_left_it(client):
    """As after a restart of Redis during a build, which could not release it: the stage is tried again at once."""
    with build_lock(client):
        left = client.get(LOCK)
        with pytest.raises(IndexBuildError, match="Another build holds the lock"), build_lock(client, wait_seconds=0):
            pass
    client.set(LOCK, left, ex=60)
    with build_lock(client, wait_seconds=0):
        assert client.get(LOCK) != left
    assert client.get(LOCK) is None


def test_a_lock_of_another_machine_is_waited_for_and_named(client):
    client.set(LOCK, json.dumps({"host": "elsewhere", "pid": 1, "started": 0, "id": "x"}), ex=60)
    with pytest.raises(IndexBuildError, match="process 1 on elsewhere"), build_lock(client, wait_seconds=0.5):
        pass
    assert json.loads(client.get(LOCK))["host"] == "elsewhere"


def test_a_publish_that_was_overtaken_is_refused(client, source, monkeypatch):
    import viberary_pipeline.index.publish as module

    first, second = (build(client, source(40, seed=seed))[0] for seed in (0, 1))
    publish(client, first.build)
    monkeypatch.setattr(module, "read_pointer", lambda _: Pointer("an older build", ""))
    with pytest.raises(IndexBuildError, match="could not be published"):
        publish(client, second.build)
    assert client.hget("viberary:pointer", "live") == first.build.encode()
    assert read_record(client, second.build).state == "ready"


def test_recall_counts_ties_as_found_and_misses_as_missed():
    vectors = unit_vectors(100)
    vectors[1] = vectors[0]
    ids = [f"w{n}" for n in range(100)]
    queries = halfway_queries(vectors, 5)
    exact = [[ids[row] for row in np.argsort(-(vectors @ query))[:10]] for query in queries]
    assert recall_at_k(queries, vectors, ids, exact, tie=1e-6) == 1.0
    worst = [[ids[row] for row in np.argsort(vectors @ query)[:10]] for query in queries]
    assert recall_at_k(queries, vectors, ids, worst, tie=1e-6) == 0.0
    half = [found[:5] for found in exact]
    assert recall_at_k(queries, vectors, ids, half, tie=1e-6) == 0.5
    one_of_the_twins_twice = [["w0", "w0", *found[:9]] for found in exact]
    assert recall_at_k(queries[:1], vectors, ids, one_of_the_twins_twice[:1], tie=1e-6) <= 1.0


def test_fewer_works_than_results_is_no_failure(client, source):
    record, gates = build(client, source(3))
    assert not any(gate.failed for gate in gates)
    assert record.recall == 1.0
