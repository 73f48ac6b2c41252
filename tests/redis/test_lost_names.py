"""Pointer, alias, record, index and documents of the live build, each of which a hand may remove or move."""

import pytest
import redis
from builds import built, published
from works import works

from viberary_pipeline.errors import IndexBuildError, SearchError
from viberary_pipeline.index.clean import known_builds, remove_unneeded
from viberary_pipeline.index.garbage import collect_garbage
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.preflight import check_names
from viberary_pipeline.index.publish import is_published, mend_names, publish, rollback, standing_build
from viberary_pipeline.redis_contract import (
    ALIAS,
    POINTER,
    Pointer,
    aliased_index,
    document_prefix,
    index_name,
    is_healthy,
    lost_because,
    read_pointer,
    read_record,
    record_key,
)
from viberary_pipeline.search.searcher import Searcher

RULES = GateRules(queries=5)
WORKS = 20


def drop_index(client: redis.Redis, live: str) -> None:
    client.ft(index_name(live)).dropindex(delete_documents=False)


def remove_documents(client: redis.Redis, live: str) -> None:
    client.unlink(*client.scan_iter(f"{document_prefix(live)}*"))


def remove_everything(client: redis.Redis, live: str) -> None:
    drop_index(client, live)
    remove_documents(client, live)
    client.delete(record_key(live))


def move_alias(client: redis.Redis, live: str) -> None:
    client.execute_command("FT.ALIASUPDATE", ALIAS, index_name(read_pointer(client).previous))


LOST = {
    "no index": (drop_index, "its index is gone"),
    "no record": (lambda client, live: client.delete(record_key(live)), "its record is gone"),
    "a damaged record": (lambda client, live: client.hdel(record_key(live), "dim"), "its record is gone"),
    "no documents": (remove_documents, f"its index holds 0 of {WORKS} documents"),
    "one document gone": (
        lambda client, live: client.unlink(f"{document_prefix(live)}3"),
        f"its index holds {WORKS - 1} of {WORKS} documents",
    ),
    "nothing": (remove_everything, "its record is gone"),
}
MOVED = {
    "no pointer": lambda client, live: client.delete(POINTER),
    "no alias": lambda client, live: client.execute_command("FT.ALIASDEL", ALIAS),
    "the alias on another index": move_alias,
}


@pytest.fixture
def two(client, tmp_path) -> tuple[str, str]:
    """A previous build and a live one."""
    previous, live = (published(client, works(tmp_path, WORKS, seed=seed, digest="d"), RULES) for seed in (1, 2))
    return previous.build, live.build


def rebuild(client: redis.Redis, tmp_path, *, force: bool) -> str:
    """What the stages search_index, evaluation_report and published_index do in Redis."""
    with build_lock(client):
        mend_names(client)
        record = None if force else standing_build(client, "d", 0)
        if record is None:
            remove_unneeded(client)
            record = built(client, works(tmp_path, WORKS, seed=3, digest="d"), RULES)
    with build_lock(client):
        if not is_published(client, record.build):
            publish(client, record.build)
        remove_unneeded(client)
    return record.build


def assert_whole(client: redis.Redis, live: str, previous: str) -> None:
    assert read_pointer(client) == Pointer(live, previous)
    assert aliased_index(client) == index_name(live)
    assert {build: read_record(client, build).state for build in known_builds(client)} == {
        live: "live",
        **({previous: "previous"} if previous else {}),
    }
    assert is_healthy(client, read_record(client, live))
    check_names(client)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("damage", LOST)
def test_a_build_replaces_a_live_one_that_is_lost(client, two, tmp_path, damage, force):
    previous, live = two
    LOST[damage][0](client, live)
    assert lost_because(client, live) == LOST[damage][1]
    new = rebuild(client, tmp_path, force=force)
    assert new not in two
    # The lost one is nothing to go back to; the one before it is.
    assert_whole(client, new, previous)
    assert rollback(client).build == previous
    collect_garbage(client, tmp_path)
    assert sorted(client.execute_command("FT._LIST")) == sorted(index_name(name).encode() for name in (previous, new))
    assert client.dbsize() == 2 * (WORKS + 2) + 1


@pytest.mark.parametrize("damage", LOST)
def test_rollback_from_a_lost_build_goes_back_once(client, two, tmp_path, damage):
    previous, live = two
    LOST[damage][0](client, live)
    assert rollback(client).build == previous
    assert read_pointer(client) == Pointer(previous, "")
    assert aliased_index(client) == index_name(previous)
    with pytest.raises(IndexBuildError, match="no build to go back to"):
        rollback(client)


@pytest.mark.parametrize("damage", LOST)
def test_a_lost_build_without_one_before_it_is_named(client, tmp_path, damage):
    live = published(client, works(tmp_path, WORKS, seed=2, digest="d"), RULES).build
    LOST[damage][0](client, live)
    with pytest.raises(IndexBuildError, match="no build to go back to") as caught:
        rollback(client)
    assert caught.value.found == f"none, and the live build {live} is lost: {LOST[damage][1]}"
    assert caught.value.todo == "run `viberary build`"
    assert_whole(client, rebuild(client, tmp_path, force=False), "")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("damage", MOVED)
def test_a_build_puts_names_back_that_were_moved(client, two, tmp_path, damage, force):
    previous, live = two
    MOVED[damage](client, live)
    new = rebuild(client, tmp_path, force=force)
    assert (new == live) is not force
    # A pointer that was removed does not say which build was the one before.
    assert_whole(client, new, live if force else "" if damage == "no pointer" else previous)


def test_an_alias_on_an_index_that_may_not_be_published_is_taken_off(client, two, tmp_path):
    _, live = two
    client.delete(POINTER)
    client.hset(record_key(live), "gates", "[]")
    assert rebuild(client, tmp_path, force=False) not in two
    assert read_pointer(client).previous == ""


def test_an_alias_on_an_index_of_somebody_else_is_left_alone(client, two, tmp_path):
    _, live = two
    client.execute_command("FT.CREATE", "theirs", "PREFIX", 1, "t:", "SCHEMA", "t", "TEXT")
    client.execute_command("FT.ALIASUPDATE", ALIAS, "theirs")
    with pytest.raises(IndexBuildError, match="disagree") as caught:
        rebuild(client, tmp_path, force=True)
    assert aliased_index(client) == "theirs"
    # The advice is followed, and it helps.
    client.execute_command(*caught.value.todo.split("`")[1].split())
    assert_whole(client, rebuild(client, tmp_path, force=True), live)


@pytest.mark.parametrize("damage", ["no record", "a damaged record", "nothing"])
def test_a_search_does_not_say_that_nothing_is_published_where_the_live_build_is_lost(client, two, tmp_path, damage):
    _, live = two
    LOST[damage][0](client, live)
    with pytest.raises(SearchError, match=f"The live build {live} is lost"):
        Searcher(client, tmp_path).search("x")
    readiness = Searcher(client, tmp_path).readiness()
    assert (readiness.ready, readiness.reason) == (False, f"The live build {live} is lost")


def test_gc_leaves_what_the_pointer_names(client, two, tmp_path):
    _, live = two
    client.delete(record_key(live))
    assert collect_garbage(client, tmp_path).builds == ()
    assert client.execute_command("FT._LIST") != []


def test_names_are_not_moved_under_a_rollback(client, two, monkeypatch):
    """A rollback takes no lock: what was read of the pointer may be old by the time that the alias is moved."""
    previous, live = two
    from viberary_pipeline.index import publish as module

    read = module.aliased_index

    def after_a_rollback(client):
        found = read(client)
        monkeypatch.setattr(module, "aliased_index", read)
        rollback(client)
        return found if found != index_name(live) else index_name(previous)

    monkeypatch.setattr(module, "aliased_index", after_a_rollback)
    mend_names(client)
    assert (read_pointer(client).live, aliased_index(client)) == (previous, index_name(previous))
