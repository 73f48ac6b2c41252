"""Memory for a third index: the previous build makes room for it, where that helps and is allowed."""

from pathlib import Path

import pytest
from builds import built, published
from works import works

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.index import room
from viberary_pipeline.index.build import IndexSource
from viberary_pipeline.index.clean import known_builds, remove_unneeded
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import rollback
from viberary_pipeline.index.room import estimated_bytes, needed_bytes, require_room
from viberary_pipeline.redis_contract import HnswSettings, Pointer, read_pointer, read_record, record_key

RULES = GateRules(queries=20, loss=1)
HNSW = HnswSettings(ef_runtime=200)
WORKS = 2000


def source(folder: Path, seed: int) -> IndexSource:
    return works(folder, WORKS, dimensions=256, seed=seed)


@pytest.fixture
def full(client):
    """Leaves so many more builds of the live one's size room as it is told, until the test ends."""

    def leave(builds: float) -> None:
        used = client.info("memory")["used_memory"]
        held = sum(read_record(client, build).documents for build in known_builds(client))
        client.config_set("maxmemory", round(used + builds * used * WORKS / held))

    yield leave
    client.config_set("maxmemory", 0)


def test_week_after_week_the_previous_build_makes_room(client, tmp_path, full):
    builds = [published(client, source(tmp_path, seed), RULES).build for seed in (1, 2)]
    full(0.5)  # memory for two builds and a half
    for seed in (3, 4, 5):
        with build_lock(client):
            remove_unneeded(client)
            builds.append(published(client, source(tmp_path, seed), RULES, make_room=True).build)
        assert {*known_builds(client)} == {*builds[-2:]}
        assert read_pointer(client) == Pointer(builds[-1], builds[-2])
        assert rollback(client).build == builds[-2]
        rollback(client)


def test_without_leave_the_build_is_refused_and_both_stay(client, tmp_path, full):
    first, second = (published(client, source(tmp_path, seed), RULES).build for seed in (1, 2))
    full(0.5)
    with build_lock(client), pytest.raises(IndexBuildError, match="no room for another index"):
        built(client, source(tmp_path, 3), RULES)
    assert {*known_builds(client)} == {first, second}
    assert read_pointer(client) == Pointer(second, first)


@pytest.mark.parametrize("left", [-0.5, 1.2])
def test_the_previous_build_stays_where_it_would_not_help_or_need_not(client, tmp_path, full, left):
    first, second = (published(client, source(tmp_path, seed), RULES).build for seed in (1, 2))
    full(left)
    if left < 0:
        with pytest.raises(IndexBuildError, match="no room for another index"):
            require_room(client, WORKS, 256, HNSW, make_room=True)
    else:
        require_room(client, WORKS, 256, HNSW, make_room=True)
    assert {*known_builds(client)} == {first, second}
    assert read_pointer(client) == Pointer(second, first)


def test_a_rollback_in_between_keeps_its_build(client, tmp_path, full, monkeypatch):
    """Readers who went back meanwhile are answered from the build that was to make room."""
    first, second = (published(client, source(tmp_path, seed), RULES).build for seed in (1, 2))
    full(0.5)
    seen = read_pointer(client)

    def and_then_rollback(_):
        rollback(client)
        return seen

    monkeypatch.setattr(room, "read_pointer", and_then_rollback)
    monkeypatch.setattr(room, "_FREES_WITHIN_SECONDS", 0.1)
    with pytest.raises(IndexBuildError, match="no room for another index"):
        require_room(client, WORKS, 256, HNSW, make_room=True)
    assert read_pointer(client) == Pointer(first, second)
    assert {*known_builds(client)} == {first, second}


def test_a_kill_while_room_is_made_leaves_nothing_to_go_back_to_and_the_next_build_cleans_up(
    client, tmp_path, full, monkeypatch
):
    first, second = (published(client, source(tmp_path, seed), RULES).build for seed in (1, 2))
    full(0.5)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "remove_build", killed)
        with pytest.raises(KeyboardInterrupt):
            require_room(client, WORKS, 256, HNSW, make_room=True)
    assert read_pointer(client) == Pointer(second, "")
    assert read_record(client, first).state == "removed"
    with pytest.raises(IndexBuildError, match="no build to go back to"):
        rollback(client)
    with build_lock(client):
        assert remove_unneeded(client) == [first]


def test_what_builds_of_the_same_kind_took_lowers_the_estimate(client, tmp_path):
    assert needed_bytes(client, WORKS, 256, HNSW) == estimated_bytes(WORKS, 256, HNSW)
    published(client, source(tmp_path, 1), RULES)
    before = client.info("memory")["used_memory"]
    needed = needed_bytes(client, WORKS, 256, HNSW)
    published(client, source(tmp_path, 2), RULES)
    taken = client.info("memory")["used_memory"] - before
    assert taken < needed < estimated_bytes(WORKS, 256, HNSW)
    for other in (HnswSettings(vector_type="FLOAT16"), HnswSettings(m=32)):
        assert needed_bytes(client, WORKS, 256, other) == estimated_bytes(WORKS, 256, other)


def test_a_record_that_was_damaged_by_hand_leaves_the_estimate(client, tmp_path):
    live = published(client, source(tmp_path, 1), RULES).build
    client.hset(record_key(live), "dim", "many")
    assert needed_bytes(client, WORKS, 256, HNSW) == estimated_bytes(WORKS, 256, HNSW)
