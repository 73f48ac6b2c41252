"""Switches under load: no error, no empty, short or mixed result, also where the encoder changes with the build, and
where readers ask a replica.

`benchmarks/index_switches.py` is the long version, with processes as clients.
"""

import time
from pathlib import Path

import pytest
import redis
from builds import published
from switching import publish_in_turn, search_while
from tiny_model import make_tiny_model
from works import works

from viberary_pipeline import redis_server
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import rollback
from viberary_pipeline.redis_contract import (
    aliased_index,
    index_info,
    index_name,
    is_healthy,
    read_pointer,
    read_record,
)
from viberary_pipeline.settings import load_settings

SWITCHES = 24


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[int, Path]:
    """Exported encoders by their dimensions."""
    folder = tmp_path_factory.mktemp("encoders")
    for dimensions in (32, 64):
        model = make_tiny_model(folder / f"model-{dimensions}", dimensions=dimensions)
        export_query_encoder(resolve(str(model)), folder / str(dimensions))
    return {dimensions: folder / str(dimensions) for dimensions in (32, 64)}


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def replica(client, tmp_path):
    """A Redis that copies what `client` writes."""
    folder = tmp_path / "replica"
    redis_server.ensure(folder)
    replica = redis_server.connect(load_settings(home=folder))
    follow(replica, client)
    yield replica
    redis_server.stop(folder)


def follow(replica: redis.Redis, primary: redis.Redis) -> None:
    address = primary.connection_pool.connection_kwargs
    # By itself, the primary waits 5 s for more replicas; and its backlog outlives this test.
    primary.config_set("repl-diskless-sync-delay", 0)
    primary.config_set("repl-backlog-size", "100kb")
    replica.replicaof(address["host"], address["port"])
    until(lambda: replica.info("replication")["master_link_status"] == "up")


def follows(replica: redis.Redis, primary: redis.Redis) -> None:
    """Return once the replica answers from the build that is live at the primary."""
    live = read_pointer(primary).live
    until(lambda: read_pointer(replica).live == live)


def until(holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except redis.exceptions.BusyLoadingError:
            pass
        time.sleep(0.01)
    raise AssertionError("not so in time")


@pytest.mark.parametrize("dimensions", [(32, 32), (32, 64)])
def test_switches_under_four_clients(client, encoders, home, dimensions):
    expected = publish_in_turn(client, home, [encoders[size] for size in dimensions])
    answers = search_while(client, home, expected, lambda: rollback(client, home=home), SWITCHES)
    assert answers.wrong == []
    assert {build: answers.builds.count(build) > SWITCHES for build in expected} == dict.fromkeys(expected, True)


def test_readers_of_a_replica_see_whole_builds_and_every_switch(client, replica, encoders, home):
    expected = publish_in_turn(client, home, [encoders[32], encoders[32]])
    follows(replica, client)

    def switch() -> None:
        live = rollback(client, home=home).build
        follows(replica, client)
        assert aliased_index(replica) == index_name(live)

    answers = search_while(replica, home, expected, switch, SWITCHES)
    assert answers.wrong == []
    assert {build: answers.builds.count(build) > SWITCHES for build in expected} == dict.fromkeys(expected, True)


def test_a_new_build_reaches_a_replica_while_it_is_read(client, replica, encoders, home, tmp_path):
    expected = publish_in_turn(client, home, [encoders[32]])
    (live,) = expected
    follows(replica, client)
    made = []

    def build_another() -> None:
        source = works(tmp_path, 500, dimensions=32, seed=7, **of_the_encoder(client, live))
        made.append(published(client, source, GateRules(queries=5)))
        rollback(client, home=home)

    answers = search_while(replica, home, expected, build_another, 1)
    assert answers.wrong == []
    (record,) = made
    until(lambda: is_healthy(replica, record))
    assert read_pointer(replica).live == live


def of_the_encoder(client, build: str) -> dict[str, str]:
    record = read_record(client, build)
    return {"fingerprint": record.fingerprint, "query_encoder": record.query_encoder}


def test_a_replica_that_starts_anew_is_not_ready_before_its_index_is_whole(client, replica, encoders, home):
    expected = publish_in_turn(client, home, [encoders[32], encoders[32]])
    record = read_record(client, read_pointer(client).live)
    replica.replicaof("NO", "ONE")
    replica.flushall()
    follow(replica, client)
    until(lambda: is_healthy(replica, record))
    assert index_info(replica, record.build)["num_docs"] == record.documents
    assert search_while(replica, home, expected, lambda: None, 1).wrong == []


def test_a_replica_is_for_readers_alone(client, replica, tmp_path):
    with pytest.raises(RedisServerError, match="is a replica"), build_lock(replica):
        published(replica, works(tmp_path), GateRules(queries=5))
