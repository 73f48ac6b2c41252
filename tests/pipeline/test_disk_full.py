"""A disk without room: the command says so, whoever of Dagster, SQLite, DuckDB and ourselves meets it first."""

import contextlib
import errno
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Cli, url_of

from viberary_pipeline import redis_server
from viberary_pipeline.errors import out_of_room

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
    # No record is half-written; one that could not be completed says that its process is gone.
    (small_disk / "fill").unlink()
    listed = Cli(home)("builds", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {record["verdict"] for record in json.loads(listed.stdout)["builds"]} <= {"failed", "killed"}


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
        with (small_disk / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
            while True:
                fill.write(bytes(1 << 16))
        done = cli("gc", **of_redis)
        assert (done.returncode, done.stderr) == (0, "")
        assert not garbage.exists()
    finally:
        (small_disk / "fill").unlink(missing_ok=True)
        redis_server.stop(home)


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
