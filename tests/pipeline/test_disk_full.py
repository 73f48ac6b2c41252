"""A disk without room: the command says so, whoever of Dagster, SQLite, DuckDB and ourselves meets it first."""

import contextlib
import errno
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from homes import Cli, url_of

from viberary_pipeline import redis_server
from viberary_pipeline.errors import out_of_room
from viberary_pipeline.history.records import History

MOUNTED_KB = 30 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 30 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MOUNTED_KB}k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"a file system cannot be mounted here (root alone may): {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(disk: Path) -> None:
    """Leave not one byte."""
    with (disk / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
        while True:
            fill.write(bytes(1 << 12))


@pytest.mark.slow
@pytest.mark.parametrize("free_kb", [0, 100, 1500, 6000])
def test_a_full_disk_is_named_and_what_to_do(client, small_disk, free_kb):
    """At the start; in Dagster's database; between two stages; within one."""
    home = small_disk / "home"
    home.mkdir()
    (small_disk / "fill").write_bytes(bytes((MOUNTED_KB - free_kb) * 1024 - 4096 * (free_kb > 0)))
    done = Cli(home)("build", VIBERARY_REDIS_URL=url_of(client))  # one that lies on another disk
    assert done.returncode == 1
    last = done.stderr[done.stderr.rindex("\nviberary: ") if "\nviberary: " in done.stderr else 0 :]
    assert "Traceback" not in last
    assert "what to do: " in last
    assert "free some space" in last
    (small_disk / "fill").unlink()
    assert records(home) == []  # no record is half-written


def records(home: Path) -> list[dict[str, Any]]:
    listed = Cli(home)("builds", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    return list(json.loads(listed.stdout)["builds"])


@pytest.mark.slow
def test_a_disk_that_becomes_full_leaves_a_run_that_failed(client, small_disk):
    home = small_disk / "home"
    record = home / "history" / "000001.json"
    with subprocess.Popen(
        [sys.executable, "-m", "viberary_pipeline.cli", "build"],
        env={**Cli(home).environment, "VIBERARY_REDIS_URL": url_of(client)},
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        while not (record.exists() and record.stat().st_size):
            assert build.poll() is None
            time.sleep(0.02)
        fill_up(small_disk)
        _, said = build.communicate(timeout=120)
    (small_disk / "fill").unlink()
    assert build.returncode == 1
    assert "There is no disk space left" in said
    (failed,) = records(home)
    assert (failed["verdict"], failed["ended"] != "") == ("failed", True)
    # The first stage that writes says so, or Dagster before it.
    assert failed["why"].startswith(
        ("query_encoder: ", "the disk is full, before its first stage", "the disk is full, in ")
    )


@pytest.mark.parametrize("embedded", [False, True])
def test_gc_needs_no_room_on_the_disk(client, small_disk, embedded):
    home = small_disk / "home"
    home.mkdir()
    cli = Cli(home)
    of_redis = {} if embedded else {"VIBERARY_REDIS_URL": url_of(client)}
    try:
        assert cli("gc", **of_redis).returncode == 0
        garbage = home / "artifacts" / "documents" / ".damaged-0123456789abcdef.0"
        garbage.mkdir(parents=True)
        (garbage / "documents.parquet").write_bytes(bytes(1 << 20))
        fill_up(small_disk)
        done = cli("gc", **of_redis)
        assert (done.returncode, done.stderr) == (0, "")
        assert not garbage.exists()
    finally:
        (small_disk / "fill").unlink(missing_ok=True)
        redis_server.stop(home)


def test_a_run_has_its_verdict_although_the_disk_is_full(small_disk):
    history = History(small_disk / "home")
    begun = history.begin(started="2026-11-28T03:00:00+00:00", raw="/data")
    fill_up(small_disk)
    ended = replace(begun, verdict="failed", why="documents: There is no disk space left", seconds={"books": 1.5})
    history.finish(replace(ended, answers={"whales": ["1"] * 10_000}), keep=100)
    assert history.all() == [ended]
    again = replace(ended, why="é" * 1000)
    history.write(again)
    assert history.all() == [again]
    with pytest.raises(OSError, match="No space left"):
        history.write(replace(ended, why="e" * 20_000))
    assert history.all() == [again]


def test_an_error_that_means_a_full_disk_is_told_from_others(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("a stage failed")
    wrapped.__cause__ = full
    for error in (full, wrapped, sqlite3.OperationalError("database or disk is full"), OSError(errno.EDQUOT, "quota")):
        found = out_of_room(error)
        assert found is not None
        assert "free some space" in found.todo
    for error in (
        None,
        OSError(errno.EACCES, "Permission denied"),
        ValueError("x"),
        sqlite3.OperationalError("disk I/O error"),
    ):
        assert out_of_room(error, tmp_path) is None
