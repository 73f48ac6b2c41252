"""A home in S3 and its copies: what two machines share, how they keep out of each other's way, and what faults do.

A machine is a folder: the copy that it works in.
"""

import errno
import itertools
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from viberary_pipeline import origin, owner
from viberary_pipeline.artifacts import ArtifactStore, Produced
from viberary_pipeline.errors import ArtifactError, HomeBusyError, SettingsError, StorageError, ViberaryError
from viberary_pipeline.history.records import History
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.origin import Lease, make_copy, origin_of, refresh, send
from viberary_pipeline.settings import load_settings
from viberary_pipeline.storage import Bucket, file_signature

BUCKET = "viberary-home"
URI = f"s3://{BUCKET}/a home"
CONTENT = b"books " * 1000
SAME: dict[str, Any] = {"inputs": {"up": "1"}, "settings": {"x": 1}}


@pytest.fixture
def machine(s3, tmp_path) -> Callable[[], Path]:
    """Makes copies of the home on empty disks."""
    numbers = itertools.count()

    def make() -> Path:
        folder = tmp_path / f"machine{next(numbers)}"
        make_copy(URI, folder)
        return folder

    return make


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(origin, "LEASE_SECONDS", 1.0)


def fill(folder: Path) -> dict[str, Any]:
    (folder / "data.parquet").write_bytes(CONTENT)
    (folder / "deep").mkdir()
    (folder / "deep" / "small.json").write_text("{}")
    return {"rows": 3}


def not_again(folder: Path) -> dict[str, Any]:
    raise AssertionError("it was made again")


def built(home: Path, build=fill, **options: Any) -> Produced:
    """What a build does, as far as it matters here."""
    with hold_home(home, wait_seconds=0):
        return ArtifactStore(home).produce("stage", **{**SAME, **options}, build=build)


def keys(s3, prefix: str = "") -> list[str]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"a home/{prefix}").get("Contents", [])
    return [item["Key"].removeprefix("a home/") for item in found]


def break_object(s3, key: str, how: str) -> None:
    address = {"Bucket": BUCKET, "Key": f"a home/{key}"}
    data = s3.get_object(**address)["Body"].read()
    if how == "deleted":
        s3.delete_object(**address)
    elif how == "truncated":
        s3.put_object(**address, Body=data[: len(data) // 2])
    else:
        s3.put_object(**address, Body=bytes([data[0] ^ 1]) + data[1:])


# ---- what two machines share


def test_a_machine_with_an_empty_disk_goes_on_from_what_s3_has(s3, machine):
    first = built(machine())
    other = machine()
    again = built(other, not_again)
    assert (first.reused, again.reused) == (False, True)
    assert again.artifact.file("data.parquet").read_bytes() == CONTENT
    assert again.artifact.path.is_relative_to(other)
    assert (again.artifact.key, again.artifact.facts) == (first.artifact.key, {"rows": 3})


def test_a_pointer_is_written_after_what_it_points_to(s3, machine):
    home = machine()
    written: list[str] = []
    client = origin_of(home).place.client
    for operation in ("PutObject", "CreateMultipartUpload"):
        client.meta.events.register(
            f"provide-client-params.s3.{operation}", lambda params, **_: written.append(params["Key"])
        )
    built(home)
    names = [key.removeprefix("a home/").rpartition("/")[2] for key in written if "/artifacts/" in key]
    assert sorted(names[:2]) == ["data.parquet", "small.json"]
    assert names[2:] == ["manifest.json", "current.json"]


def test_what_is_found_again_is_not_sent_again(s3, machine):
    built(machine())
    other = machine()
    built(other, not_again)
    sent: list[str] = []
    origin_of(other).place.client.meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: sent.append(params["Key"])
    )
    built(other, not_again)
    assert {key.removeprefix("a home/") for key in sent} == {"lease.json", "lease.json.probe"}


def test_a_reader_fetches_one_artifact_and_nothing_else(s3, machine):
    """As a web host does, which holds no home and has never seen this one."""
    artifact = built(machine()).artifact
    built(machine(), settings={"x": 2})
    reader = machine()
    found = ArtifactStore(reader).find("stage", artifact.key)
    assert found is not None
    assert found.file("data.parquet").read_bytes() == CONTENT
    assert [path.name for path in (reader / "artifacts" / "stage").iterdir()] == [artifact.path.name]


def test_notes_leave_their_predecessors_nowhere(s3, machine):
    for number in range(3):
        home = machine()
        with hold_home(home):
            ArtifactStore(home).note("raw", f"key{number}", inputs={}, facts={"n": number})
    assert [key.split("/")[2].split(".")[0] for key in keys(s3, "artifacts/raw/")] == ["current", "key2"]
    assert ArtifactStore(refresh(machine())).current("raw").facts == {"n": 2}


def test_the_history_has_one_number_for_each_run_of_any_machine(s3, machine):
    one, other = machine(), machine()
    built(one)
    History(one).begin(verdict="failed", job="a")
    refresh(other)
    History(one).begin(verdict="failed", job="b")
    History(other).begin(verdict="failed", job="c")  # before it knows of b
    assert [(r.number, r.job) for r in History(refresh(machine())).all()] == [(3, "c"), (2, "b"), (1, "a")]


def test_replaced_files_follow_and_removed_ones_go(s3, machine):
    one, other = machine(), machine()
    with hold_home(one):
        (one / "quality").mkdir()
        for name in ("report.html", "old.html"):
            (one / "quality" / name).write_text("first")
    assert (refresh(other) / "quality" / "report.html").read_text() == "first"
    with hold_home(one):
        (one / "quality" / "report.html").write_text("second")
        (one / "quality" / "old.html").unlink()
    refresh(other)
    assert [(p.name, p.read_text()) for p in (other / "quality").iterdir()] == [("report.html", "second")]


def test_of_two_versions_of_a_file_the_first_that_arrived_stays(s3, machine, caplog):
    one, other = machine(), machine()
    with hold_home(one):
        (one / "quality").mkdir()
        (one / "quality" / "page.html").write_text("start")
    refresh(other)
    for home, text in ((one, "one"), (other, "other")):
        (home / "quality" / "page.html").write_text(text)
        send(home)
    assert "another machine has replaced" in caplog.text
    assert (refresh(other) / "quality" / "page.html").read_text() == "one"


def test_a_file_that_was_lost_here_comes_back(s3, machine):
    home = machine()
    with hold_home(home):
        (home / "history").mkdir()
        (home / "history" / "000001.json").write_text("{}")
    (home / "history" / "000001.json").unlink()
    with hold_home(home):
        assert (home / "history" / "000001.json").read_text() == "{}"


def test_garbage_goes_from_s3_too_and_what_killed_builds_had_sent(s3, machine):
    home = machine()
    old = built(home).artifact
    new = built(home, settings={"x": 2}).artifact
    s3.put_object(Bucket=BUCKET, Key="a home/artifacts/stage/killed.1/data.parquet", Body=b"half")
    with hold_home(collector := machine()):
        store = ArtifactStore(collector)
        garbage = store.unneeded({})
        assert [path.name for path in garbage] == sorted([old.path.name, "killed.1"])
        store.remove(garbage)
    assert {key.split("/")[2] for key in keys(s3, "artifacts/stage/")} == {new.path.name, "current.json"}
    assert origin_of(collector).sizes()[f"stage/{new.path.name}"] > len(CONTENT)
    refresh(home)
    assert [artifact.path.name for artifact, by in ArtifactStore(home).needs({}) if by] == [new.path.name]


# ---- damage


@pytest.mark.parametrize("name", ["data.parquet", "manifest.json"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "deleted"])
def test_the_next_build_puts_right_what_is_damaged_in_s3(s3, machine, caplog, name, how):
    builder = machine()
    artifact = built(builder).artifact
    break_object(s3, f"artifacts/stage/{artifact.path.name}/{name}", how)
    with caplog.at_level(logging.WARNING):
        assert ArtifactStore(machine()).find("stage", artifact.key) is None
    assert how == "deleted" or "is damaged, and `viberary build` makes it anew" in caplog.text
    assert built(builder, not_again).reused  # the builder has it whole, and sends it again
    found = ArtifactStore(machine()).find("stage", artifact.key)
    assert found is not None
    assert found.file("data.parquet").read_bytes() == CONTENT


def test_what_no_machine_has_whole_is_made_again(s3, machine):
    artifact = built(machine()).artifact
    break_object(s3, f"artifacts/stage/{artifact.path.name}/data.parquet", "flipped")
    again = built(machine())
    assert not again.reused
    found = ArtifactStore(refresh(machine())).current("stage")
    assert (found.path.name, found.file("data.parquet").read_bytes()) == (again.artifact.path.name, CONTENT)


def test_what_is_damaged_here_is_fetched(s3, machine, caplog):
    home = machine()
    path = built(home).artifact.file("data.parquet")
    path.write_bytes(b"X" + CONTENT[1:])
    again = built(home, not_again)
    assert (again.reused, again.artifact.file("data.parquet").read_bytes()) == (True, CONTENT)
    path.write_bytes(b"")
    assert ArtifactStore(home).current("stage").file("data.parquet").read_bytes() == CONTENT
    assert caplog.text.count("is damaged") == 2


def test_a_copy_without_room_loses_nothing(s3, machine, monkeypatch):
    artifact = built(machine()).artifact
    home = machine()
    with monkeypatch.context() as full:

        def no_room(*_: Any, **__: Any) -> Any:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr(origin, "replacing", no_room)
        with pytest.raises(ViberaryError, match="There is no disk space left"):
            ArtifactStore(home).find("stage", artifact.key)
    assert built(home, not_again).reused
    assert not list((home / "artifacts" / "stage").glob(".damaged*"))


def test_without_boto3_the_extra_is_named(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(origin, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'viberary-pipeline\[s3\]'"):
        make_copy(URI, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"folder": "gone.1"}'])
def test_a_damaged_pointer_is_refused_and_replaced(s3, machine, text):
    artifact = built(machine()).artifact
    s3.put_object(Bucket=BUCKET, Key="a home/artifacts/stage/current.json", Body=text.encode())
    home = machine()
    with pytest.raises(ArtifactError, match="viberary build"):
        ArtifactStore(refresh(home)).current("stage")
    built(home, not_again)
    assert ArtifactStore(refresh(machine())).current("stage").path.name == artifact.path.name


def test_a_state_that_was_lost_costs_nothing(s3, machine):
    home = machine()
    built(home)
    (home / ".origin" / "state.json").write_text("{")
    built(home, not_again, settings={"x": 1})
    built(home, settings={"x": 2})
    assert ArtifactStore(refresh(machine())).current("stage").settings == {"x": 2}


def test_an_emptied_bucket_takes_nothing_from_a_copy(s3, machine):
    home = machine()
    built(home)
    for key in keys(s3):
        s3.delete_object(Bucket=BUCKET, Key=f"a home/{key}")
    with pytest.raises(SettingsError, match=r"lease.json is gone(?s:.*)move .*machine0 away"):
        refresh(home)
    with pytest.raises(SettingsError, match=r"lease.json is gone"), hold_home(home):
        pass
    assert keys(s3) == []
    assert ArtifactStore(home).current("stage").file("data.parquet").read_bytes() == CONTENT


def test_another_home_at_the_address_is_told(s3, machine):
    home = machine()
    built(home)
    for key in keys(s3):
        s3.delete_object(Bucket=BUCKET, Key=f"a home/{key}")
    built(machine())
    with pytest.raises(SettingsError, match="not the one that this machine has a copy of"), hold_home(home):
        pass
    built(machine(), not_again)


# ---- S3 away


def test_with_s3_away_a_build_says_so_and_the_next_one_sends_what_it_made(s3, machine, monkeypatch):
    home = machine()
    built(home, settings={"x": 0})
    with hold_home(home):
        client = origin_of(home).place.client
        away = fail(client, "PutObject", 503, "SlowDown")
        with pytest.raises(StorageError, match="S3 cannot be used") as caught:
            ArtifactStore(home).produce("stage", **SAME, build=fill)
        assert caught.value.passing
        away.clear()
    assert built(home, not_again).reused
    assert ArtifactStore(refresh(machine())).current("stage").settings == {"x": 1}


def fail(client: Any, operation: str, status: int, code: str) -> list[bool]:
    """Let S3 refuse these requests, until the list is emptied."""
    on = [True]
    answer = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    client.meta.events.register(
        f"before-call.s3.{operation}", lambda **_: (SimpleNamespace(status_code=status), answer) if on else None
    )
    return on


def test_what_could_not_be_sent_at_the_end_is_sent_by_the_next_build(s3, machine, caplog, short, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.home_lock._ASK_S3_SECONDS", 0.1)
    home = machine()
    with hold_home(home):
        (home / "quality").mkdir()
        (home / "quality" / "page.html").write_text("kept")
        away = fail(origin_of(home).place.client, "PutObject", 503, "SlowDown")
    assert "the next build sends the rest" in caplog.text
    assert "could not be given back, and expires in" in caplog.text
    away.clear()
    assert keys(s3, "quality/") == []
    with hold_home(home):  # once the lease has expired, which was not given back
        pass
    assert (refresh(machine()) / "quality" / "page.html").read_text() == "kept"


def test_with_s3_away_from_the_start_nothing_begins(s3, machine, monkeypatch):
    home = machine()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"to reach s3://viberary-home/a home/lease.json(?s:.*)try again"):
        built(home, not_again)


# ---- one build at a time


def test_a_second_machine_is_told_who_builds(s3, machine):
    one, other = machine(), machine()
    with (
        hold_home(one),
        pytest.raises(HomeBusyError, match=f"(?s){URI} to be free.*process {os.getpid()} on .*, since 20"),
        hold_home(other, wait_seconds=0),
    ):
        pass
    with hold_home(other, wait_seconds=0):
        pass
    assert json.loads(s3.get_object(Bucket=BUCKET, Key="a home/lease.json")["Body"].read())["number"] == 2


def test_a_second_machine_waits(s3, machine, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.home_lock._ASK_S3_SECONDS", 0.05)
    lease, said = Lease(origin_of(machine()).place), list[str]()
    assert lease.acquire() == ""

    def say(line: str) -> None:
        said.append(line)
        lease.release()

    with hold_home(machine(), wait_seconds=30, say=say):
        assert len(said) == 1
        assert said[0].startswith(f"waiting for another build in {URI}: process {os.getpid()}")


def test_whoever_stops_renewing_is_out_and_can_move_nothing_any_more(s3, machine, short):
    one, other = machine(), machine()
    with hold_home(one):
        store = ArtifactStore(one)
        store.produce("stage", **SAME, build=fill)
        origin_of(one).lease._stop.set()  # as a machine that sleeps
        time.sleep(2.5)
        built(other, settings={"x": 2})
        with pytest.raises(HomeBusyError, match="has taken it over"):
            store.produce("stage", inputs={}, settings={"x": 3}, build=fill)
    assert ArtifactStore(refresh(machine())).current("stage").settings == {"x": 2}
    with hold_home(other, wait_seconds=0):  # the first one's end took nothing from it
        pass


def test_even_without_its_lease_nobody_overwrites_a_pointer(s3, machine):
    one, other = machine(), machine()
    built(one)
    refresh(other)
    ArtifactStore(one).produce("stage", inputs={}, settings={"x": 2}, build=fill)
    with pytest.raises(HomeBusyError, match=r"has moved artifacts/stage/current.json"):
        ArtifactStore(other).produce("stage", inputs={}, settings={"x": 3}, build=fill)
    assert ArtifactStore(refresh(machine())).current("stage").settings == {"x": 2}


def test_a_lease_is_renewed(s3, machine, short):
    with hold_home(machine()):
        time.sleep(2.5)
        with pytest.raises(HomeBusyError), hold_home(machine(), wait_seconds=0):
            pass


@pytest.mark.parametrize("years", [-10, 10])
def test_clocks_of_machines_have_no_part_in_it(s3, machine, monkeypatch, years):
    """One machine believes in another year than the other, and than S3."""
    now = time.time() + years * 31_557_600
    lease = Lease(origin_of(machine()).place)
    with monkeypatch.context() as other_clock:
        other_clock.setattr(origin, "datetime", SimpleNamespace(now=lambda zone: time_of(now, zone)))
        assert lease.acquire() == ""
    held = Lease(origin_of(machine()).place).acquire()
    assert f"since {2026 + years}" in held
    lease.release()
    after = Lease(origin_of(machine()).place)
    assert after.acquire() == ""
    after.release()


def time_of(seconds: float, zone: Any) -> Any:
    from datetime import datetime

    return datetime.fromtimestamp(seconds, zone)


def test_a_clock_that_s3_refuses_is_told(s3, machine):
    home = machine()
    fail(origin_of(home).place.client, "GetObject", 403, "RequestTimeTooSkewed")
    with pytest.raises(StorageError, match=r"refuses this machine's clock(?s:.*)within 15 minutes(?s:.*)time service"):
        built(home, not_again)


def test_the_lease_of_a_dead_process_of_this_machine_is_free(s3, machine):
    dead = json.dumps({**json.loads(owner.this_process()), "started": "another boot 1"})
    body = {"home": "abc", "number": 7, "owner": dead, "seconds": 120, "since": "2026"}
    s3.put_object(Bucket=BUCKET, Key="a home/lease.json", Body=json.dumps(body))
    with hold_home(machine(), wait_seconds=0):
        now = json.loads(s3.get_object(Bucket=BUCKET, Key="a home/lease.json")["Body"].read())
        assert (now["home"], now["number"]) == ("abc", 8)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff"])
def test_a_damaged_lease_is_free_and_the_home_still_the_same(s3, machine, text):
    home = machine()
    built(home)
    s3.put_object(Bucket=BUCKET, Key="a home/lease.json", Body=text)
    built(home, not_again)
    refresh(home)


def test_what_gc_removed_on_another_machine_goes_here_too(s3, machine):
    home, other = machine(), machine()
    old = built(home).artifact
    built(home, settings={"x": 2})
    with hold_home(other):
        ArtifactStore(other).remove([other / old.path.relative_to(home)])
    refresh(home)
    assert not old.path.exists()
    assert ArtifactStore(home).current("stage").settings == {"x": 2}


def test_a_write_that_arrived_although_its_answer_did_not(s3, machine, proxy):
    """The request is made again, and meets what it wrote itself: that is no other machine."""
    place = Bucket(URI)
    etag = place.swap("name", b"one", "")
    proxy.cut_next(0)
    assert place.swap("name", b"two", etag) == place.find("name")[0]


def test_a_storage_that_ignores_conditions_is_refused(s3, machine):
    def ignore(params: dict[str, Any], **_: Any) -> None:
        params.pop("IfMatch", None)
        params.pop("IfNoneMatch", None)

    home = machine()
    origin_of(home).place.client.meta.events.register("provide-client-params.s3.PutObject", ignore)
    with pytest.raises(StorageError, match=r"cannot hold a home(?s:.*)conditional writes"):
        built(home, not_again)


# ---- the copy


def test_the_copy_of_a_home_lies_in_the_cache_or_where_one_says(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = load_settings(home=f"{URI}/").home_dir
    assert folder.parent == tmp_path / "cache" / "viberary" / "homes"
    assert folder.name.startswith("viberary-home-")
    assert load_settings(home=URI, workdir=tmp_path / "mine").home_dir == tmp_path / "mine"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert load_settings(home=URI).home_dir != folder
    assert origin_of(folder).place.uri == URI


def test_a_folder_that_is_something_else_is_refused(s3, tmp_path):
    make_copy(URI, tmp_path / "copy")
    (tmp_path / "home" / "artifacts").mkdir(parents=True)
    for name, found in (("copy", f"a copy of {URI}"), ("home", "a home of its own")):
        with pytest.raises(SettingsError, match=f"found:      {found}"):
            make_copy(f"{URI}/other", tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="VIBERARY_WORKDIR"):
        make_copy(URI, tmp_path / "file")


@pytest.mark.parametrize("home", ["s3://", "s3://B_/x", "s3://bucket//x", "http://bucket", "s3://bucket/*"])
def test_an_address_that_is_none_is_refused(home):
    with pytest.raises(SettingsError, match="VIBERARY_HOME"):
        load_settings(home=home)


def test_a_home_in_s3_has_its_vectors_and_jobs_there(tmp_path):
    settings = load_settings(home=URI)
    assert (settings.vectors_uri, settings.jobs_uri) == (f"{URI}/embeddings", f"{URI}/jobs")
    given = load_settings(home=URI, embedding_vectors="s3://v", embedding_jobs="s3://j")
    assert (given.vectors_uri, given.jobs_uri) == ("s3://v", "s3://j")
    assert (load_settings(home=tmp_path).vectors_uri, load_settings(home=tmp_path).jobs_uri) == (None, None)


def test_a_local_home_is_untouched(tmp_path):
    before = file_signature(tmp_path)
    assert origin_of(tmp_path) is None
    assert refresh(tmp_path) == tmp_path
    send(tmp_path)
    assert file_signature(tmp_path) == before
