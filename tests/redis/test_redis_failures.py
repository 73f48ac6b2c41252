"""A Redis that refuses: another database, rights that are missing, no memory. Each says what it is and what helps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from builds import built, published
from homes import url_of
from works import works

from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.errors import IndexBuildError, RedisServerError
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.index.garbage import collect_garbage
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.preflight import check_usable
from viberary_pipeline.index.publish import publish, rollback, save
from viberary_pipeline.redis_contract import LOCK, aliased_index, index_name, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.settings import load_settings

RULES = GateRules(queries=5)


def viberary(home: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VIBERARY_HOME": str(home), "VIBERARY_REDIS_URL": url}
    command = [sys.executable, "-m", "viberary_pipeline.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


# ---- another database than 0


@pytest.mark.parametrize("spelt", ["/1", "/15", "?db=3", "/0?db=2"])
def test_another_database_is_refused_by_its_url(client, spelt):
    url = url_of(client).removesuffix("/0") + spelt
    with pytest.raises(RedisServerError, match="must be in database 0") as caught:
        connect(load_settings(redis_url=url))
    assert "ALIASDEL" not in str(caught.value)


@pytest.mark.parametrize("job", ["rebuild", "reindex"])
def test_a_run_from_the_ui_or_the_schedule_asks_redis_before_its_first_stage(client, tmp_path, job):
    url = url_of(client).removesuffix("/0") + "/1"
    rebuild = build_definitions(load_settings(home=tmp_path, redis_url=url)).resolve_job_def(job)
    with dg.DagsterInstance.ephemeral() as instance:
        result = rebuild.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_success]
    failures = [str(event.event_specific_data.error) for event in result.all_events if event.is_failure]
    assert any("must be in database 0" in failure for failure in failures)
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("spelt", ["", "/", "/0", "?db=0"])
def test_database_0_is_taken_however_it_is_spelt(client, spelt):
    assert connect(load_settings(redis_url=url_of(client).removesuffix("/0") + spelt)).ping()


def test_a_build_in_another_database_ends_before_its_first_stage_and_harms_nobody(client, tmp_path):
    live = published(client, works(tmp_path), RULES).build  # another pipeline's, in database 0
    done = viberary(tmp_path / "home", url_of(client, database=1), "build")
    assert (done.returncode, done.stdout) == (1, "")
    assert "must be in database 0" in done.stderr
    assert not (tmp_path / "home" / "artifacts").exists()
    assert aliased_index(client) == index_name(live)


# ---- rights


@pytest.fixture
def user(client):
    """Makes a user with these rights; returns the URL."""

    def make(*rights: str) -> str:
        client.execute_command("ACL", "SETUSER", "tester", "reset", "on", ">pass", "~*", "&*", "+@all", *rights)
        return url_of(client, user="tester:pass@")

    yield make
    client.execute_command("ACL", "DELUSER", "tester")


@pytest.mark.parametrize(
    ("right", "expected", "todo"),
    [
        ("-ft._list", "the right to run FT._LIST", "ACL SETUSER name +ft._list"),
        ("-info", "the right to run INFO", "ACL SETUSER name +info"),
    ],
)
def test_a_right_that_is_missing_is_named_and_search_is_not_said_to_be_missing(user, right, expected, todo):
    with pytest.raises(RedisServerError, match="lacks a right") as caught:
        connect(load_settings(redis_url=user(right)))
    assert caught.value.expected == expected
    assert todo in caught.value.todo
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (("-eval",), "the right to run EVAL"),
        (("resetkeys", "~other:*"), "the right to the keys viberary:*"),
    ],
)
def test_what_a_build_lacks_is_said_before_its_first_stage(user, rights, expected):
    client = connect(load_settings(redis_url=user(*rights)))
    with pytest.raises(RedisServerError) as caught:
        check_usable(client)
    assert caught.value.expected == expected


def test_a_right_that_is_missing_under_the_lock_is_named(user, tmp_path):
    client = connect(load_settings(redis_url=user("-unlink", "-ft.dropindex", "-scan")))
    with pytest.raises(RedisServerError) as caught:
        collect_garbage(client, tmp_path)
    assert caught.value.expected == "the right to run SCAN"


def test_without_the_right_to_save_a_publish_stands_and_says_that_it_is_not_saved(client, user, tmp_path):
    live = published(client, works(tmp_path), RULES).build
    assert save(connect(load_settings(redis_url=user("-bgsave", "-config", "-module"))), live) is False
    assert read_record(client, live).saved == ""


def test_a_wrong_password_is_not_a_server_that_does_not_answer(client):
    with pytest.raises(RedisServerError, match="refuses the login") as caught:
        connect(load_settings(redis_url=url_of(client, user="tester:wr0ng@")))
    assert "wr0ng" not in str(caught.value)


# ---- no memory


@pytest.fixture
def full(client):
    """Lets Redis be beyond maxmemory from then on."""
    yield lambda: client.config_set("maxmemory", 1)
    client.config_set("maxmemory", 0)


def test_gc_frees_memory_beyond_maxmemory(client, tmp_path, full):
    builds = [published(client, works(tmp_path, seed=seed), RULES).build for seed in (1, 2, 3)]
    full()
    assert collect_garbage(client, tmp_path).builds == (builds[0],)
    assert sorted(known_builds(client)) == sorted(builds[1:])
    assert read_record(client, builds[2]).saved != ""
    assert client.get(LOCK) is None


def test_gc_as_a_command_beyond_maxmemory(client, tmp_path, full):
    builds = [published(client, works(tmp_path, seed=seed), RULES).build for seed in (1, 2, 3)]
    full()
    done = viberary(tmp_path / "home", url_of(client), "gc", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["builds"] == [builds[0]]


def test_a_build_beyond_maxmemory_is_told_that_there_is_no_room(client, tmp_path, full):
    live = published(client, works(tmp_path, seed=1), RULES).build
    full()
    with build_lock(client), pytest.raises(IndexBuildError, match="no room for another index") as caught:
        built(client, works(tmp_path, seed=2), RULES)
    assert "`viberary gc`" in caught.value.todo
    assert known_builds(client) == [live]


def test_switches_beyond_maxmemory_say_what_helps_and_move_nothing(client, tmp_path, full):
    first, second = (published(client, works(tmp_path, seed=seed), RULES).build for seed in (1, 2))
    full()
    for switch in (lambda: rollback(client), lambda: publish(client, first)):
        with pytest.raises(IndexBuildError, match="out of memory") as caught:
            switch()
        assert "`viberary gc`" in caught.value.todo
    assert aliased_index(client) == index_name(second)


def test_memory_that_runs_out_under_the_lock_is_explained(client, full):
    full()
    with pytest.raises(RedisServerError, match="out of memory") as caught, build_lock(client):
        client.set("x", 1)
    assert "`viberary gc`" in caught.value.todo
    assert client.get(LOCK) is None
