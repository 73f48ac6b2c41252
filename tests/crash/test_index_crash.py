"""The index under failure: killed after every single command, Redis killed, connections cut, memory gone."""

import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from builds import evaluated
from tiny_model import DIMENSIONS, WORDS, make_tiny_model

from viberary_pipeline import redis_server
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import GateRefused, IndexBuildError, RedisServerError
from viberary_pipeline.index import build as build_module
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import known_builds, remove_build, remove_unneeded
from viberary_pipeline.index.garbage import collect_garbage
from viberary_pipeline.index.gate_result import EVALUATION, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.preflight import check_names
from viberary_pipeline.index.publish import publish, record_verdict, save, standing_build
from viberary_pipeline.redis_contract import (
    ALIAS,
    HnswSettings,
    aliased_index,
    index_name,
    is_healthy,
    read_pointer,
    read_record,
)
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings

WORKS = 300  # more than one portion
RULES = GateRules(queries=3)


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Sources of so many works; another seed has other vectors."""

    def make(count: int = WORKS, seed: int = 0) -> IndexSource:
        path = tmp_path_factory.mktemp("documents") / "documents.parquet"
        same = dict.fromkeys(("title", "author", "authors", "description", "link"), "x")
        rows = [
            {
                **same,
                "work_id": str(n),
                "book_id": str(n),
                "review_count": n,
                "publication_year": 2000,
                "language": "en",
            }
            for n in range(count)
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        return IndexSource(path, unit_vectors(count, seed), "d", "tiny", "f" * 16, "k" * 16)

    return make


def build(client: redis.Redis, source: IndexSource, **options) -> str:
    record, gates = build_index(client, source, HnswSettings(ef_runtime=200), RULES, **options)
    assert not any(gate.failed for gate in gates)
    return evaluated(client, record.build).build


def assert_answers(client: redis.Redis, vectors: dict[str, np.ndarray]) -> str:
    """The live build, once alias and pointer agree on it and its index is whole and finds the true neighbours."""
    live = read_pointer(client).live
    record = read_record(client, live)
    assert (aliased_index(client), record.state) == (index_name(live), "live")
    assert is_healthy(client, record)
    for row in (0, WORKS // 2, WORKS - 1):
        hits = nearest(client, live, vectors[live][row].tobytes(), 10, fields=("work_id",))
        exact = np.argsort(-(vectors[live] @ vectors[live][row]))[:10]
        assert [hit["work_id"] for hit in hits] == [str(n) for n in exact]
    return live


def _die_after(commands: int) -> None:
    """In this process: SIGKILL as soon as so many more commands (a pipeline is one) have been sent."""
    send = redis.connection.AbstractConnection.send_packed_command
    left = [commands]

    def counting(self, command, check_health=True):
        send(self, command, check_health)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    redis.connection.AbstractConnection.send_packed_command = counting


def _rebuild(url: str, data: IndexSource, commands: int) -> None:
    client = connect(load_settings(redis_url=url))
    _die_after(commands)
    with build_lock(client):
        remove_unneeded(client)
        record, _ = build_index(client, data, HnswSettings(ef_runtime=200), RULES)
        evaluated(client, record.build)
        publish(client, record.build)
        remove_unneeded(client)
        save(client, record.build)


def test_killed_after_any_command_the_live_index_answers_and_gc_leaves_nothing(client, source, tmp_path):
    url = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}"
    vectors: dict[str, np.ndarray] = {}
    for seed in (1, 2, 3):  # a live one, a previous one, and one that the next publish makes unneeded
        data = source(seed=seed)
        name = build(client, data)
        vectors[name] = data.vectors
        publish(client, name)
    data = source(seed=4)
    lives = set()
    for commands in range(1, 200):
        child = os.fork()
        if child == 0:
            try:
                _rebuild(url, data, commands)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        time.sleep(0.01)  # what it had sent may still be read
        for name in known_builds(client):
            vectors.setdefault(name, data.vectors)
        lives.add(assert_answers(client, vectors))
        collect_garbage(client, tmp_path)
        assert assert_answers(client, vectors) in lives
        kept = {read_pointer(client).live, read_pointer(client).previous}
        assert set(known_builds(client)) == kept
        assert sorted(client.execute_command("FT._LIST")) == sorted(index_name(name).encode() for name in kept)
        assert client.dbsize() == 2 * (WORKS + 2) + 1, f"killed after {commands} commands"
        if os.WIFEXITED(status):
            break
    # It was killed in the middle of everything, before the switch and after it.
    assert commands > 40
    assert len(lives) > 3


def test_a_connection_that_is_cut_in_the_feed_leaves_a_whole_build_or_nothing(client, source, tmp_path):
    """redis-py connects again where the connection lay idle at that moment; a pipeline under way fails."""
    data = source(seed=1)
    live = build(client, data)
    publish(client, live)
    cuts = []

    def cut() -> None:
        if not cuts:
            cuts.append(client.client_kill_filter(_type="normal", skipme=True))

    new = None
    try:
        new = build(client, source(5000, seed=2), check_lock=cut)
    except IndexBuildError as error:
        assert error.what == "Redis refused a part of the new index"  # noqa: PT017
    assert cuts[0] >= 1
    assert assert_answers(client, {live: data.vectors}) == live
    if new is not None:
        record = read_record(client, new)
        assert record is not None
        assert (record.documents, is_healthy(client, record)) == (5000, True)
        remove_build(client, new)
    collect_garbage(client, tmp_path)
    assert client.dbsize() == WORKS + 3


@pytest.mark.parametrize("damage", ["of a wrong dimension", "missing", "zero"])
def test_a_vector_that_is_damaged_on_its_way_is_caught_by_a_gate(client, source, monkeypatch, damage):
    whole = build_module._document_hash

    def damaged(row, blob):
        values = dict(whole(row, blob))
        if row["work_id"] == "7":
            if damage == "missing":
                del values["vector"]
            else:
                values["vector"] = blob[:-4] if damage == "of a wrong dimension" else bytes(len(blob))
        return values

    monkeypatch.setattr(build_module, "_document_hash", damaged)
    _, gates = build_index(client, source(), HnswSettings(ef_runtime=200), RULES)
    refused = [gate.name for gate in gates if gate.failed]
    expected = {
        "of a wrong dimension": ["document_count", "indexing_failures"],
        "missing": ["document_count"],
        "zero": ["recall_at_10"],  # it ranks first for every query
    }
    assert refused == expected[damage]
    assert client.dbsize() == 0


def test_an_index_under_the_name_of_the_alias_stops_a_build(client, source):
    client.execute_command("FT.CREATE", ALIAS, "PREFIX", 1, "x:", "SCHEMA", "t", "TEXT")
    with pytest.raises(IndexBuildError, match="An index has the name of the alias"):
        build(client, source())
    assert client.dbsize() == 0


def test_an_alias_that_was_moved_by_hand_stops_a_build(client, source):
    first, second = build(client, source(seed=1)), build(client, source(seed=2))
    client.execute_command("FT.ALIASADD", ALIAS, index_name(first))
    with pytest.raises(IndexBuildError, match="disagree") as caught:
        build(client, source())
    assert (caught.value.expected, caught.value.found) == (f"{ALIAS} on nothing", index_name(first))
    client.execute_command("FT.ALIASDEL", ALIAS)
    publish(client, first)
    check_names(client)
    client.execute_command("FT.ALIASUPDATE", ALIAS, index_name(second))
    with pytest.raises(IndexBuildError, match="disagree") as caught:
        check_names(client)
    assert caught.value.todo == f"`FT.ALIASUPDATE {ALIAS} {index_name(first)}`, then build again"


def test_a_server_that_began_to_evict_stops_a_build(client, source):
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(RedisServerError, match="may evict"):
            build(client, source())
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert client.dbsize() == 0


# ---- kill -9 of Redis


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The export of a small encoder."""
    out = tmp_path_factory.mktemp("exported")
    export_query_encoder(resolve(str(make_tiny_model(out / "model"))), out / "encoder")
    return out / "encoder"


@pytest.fixture
def home(tmp_path, exported):
    """A home with that encoder and an embedded server of its own."""
    home = tmp_path / "home"
    shutil.copytree(exported, home / "artifacts" / "query_encoder" / f"{'k' * 16}.1")
    redis_server.ensure(home)
    yield home
    redis_server.stop(home)


def kill_redis(home: Path) -> None:
    server = redis_server.running(home)
    os.kill(server.pid, signal.SIGKILL)
    while redis_server.running(home) is not None:
        time.sleep(0.02)


def test_after_kill_9_of_redis_the_page_is_ready_only_with_the_whole_index(home, source, exported):
    works = 12_000
    client = connect(load_settings(home=home))
    data = replace(source(works), fingerprint=QueryEncoder(exported).fingerprint)
    live = build(client, data)
    publish(client, live)
    save(client, live)
    url = redis_server.ensure(home).url
    searcher = Searcher(redis.Redis.from_url(url, socket_timeout=5), home)
    query = " ".join(WORDS[:3])
    expected = searcher.search(query)
    assert searcher.readiness().ready

    seen, stop = [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            readiness = searcher.readiness()
            seen.append((readiness.ready, readiness.documents, readiness.reason))
            time.sleep(0.01)

    kill_redis(home)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        time.sleep(0.1)
        assert redis_server.ensure(home).url == url  # on its port of before
        deadline = time.monotonic() + 60
        while not searcher.readiness().ready and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        stop.set()
        watcher.join()
    assert any(not ready for ready, _, _ in seen)
    assert {documents for ready, documents, _ in seen if ready} <= {works}
    assert searcher.readiness().ready
    assert searcher.search(query) == expected


def test_kill_9_of_redis_in_the_feed_fails_the_build_and_leaves_nothing(home, source, tmp_path):
    client = connect(load_settings(home=home))
    data = source(seed=1)
    live = build(client, data)
    publish(client, live)
    save(client, live)
    killed = []

    def kill_once() -> None:
        if not killed:
            killed.append(True)
            kill_redis(home)

    with pytest.raises(IndexBuildError, match="Redis refused a part"):
        build(client, source(5000, seed=2), check_lock=kill_once)
    client = connect(load_settings(home=home))  # starts it again
    while not is_healthy(client, read_record(client, live)):
        time.sleep(0.02)
    assert assert_answers(client, {live: data.vectors}) == live
    assert collect_garbage(client, home / "nothing").builds == ()
    assert client.dbsize() == WORKS + 3


# ---- killed around the verdict of the evaluation


def _refuse(url: str, build: str, commands: int) -> None:
    client = connect(load_settings(redis_url=url))
    _die_after(commands)
    record_verdict(client, build, GateResult.judged(EVALUATION, False, 0.2, 0.03, "nDCG@10 lost at most"))


def test_killed_around_its_verdict_a_refused_build_never_goes_live(client, source, tmp_path):
    url = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}"
    live = build(client, source(seed=1))
    publish(client, live)
    states = set()
    for commands in range(1, 40):
        worse, _ = build_index(client, replace(source(seed=2), digest="worse"), HnswSettings(ef_runtime=200), RULES)
        child = os.fork()
        if child == 0:
            try:
                _refuse(url, worse.build, commands)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        time.sleep(0.01)
        record = read_record(client, worse.build)
        states.add(record.state if record else "gone")
        with pytest.raises((GateRefused, IndexBuildError)):  # the stage published_index, run alone
            publish(client, worse.build)
        standing = standing_build(client, "worse", 0)
        assert standing is None or standing.state == "ready", "one without its verdict is evaluated again"
        assert read_pointer(client).live == live
        with build_lock(client):
            remove_unneeded(client)
            if standing is not None:
                remove_build(client, worse.build)
        assert known_builds(client) == [live]
        if os.WIFEXITED(status):
            break
    assert states == {"ready", "refused", "gone"}
