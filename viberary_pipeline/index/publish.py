"""Publish a gated build in one atomic switch, and go back to the one before."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files

import redis

from viberary_pipeline.errors import GateRefused, IndexBuildError
from viberary_pipeline.search.schema import (
    ALIAS,
    POINTER,
    BuildRecord,
    index_info,
    index_name,
    read_pointer,
    read_record,
    record_key,
)

log = logging.getLogger(__name__)

_SAVE_TIMEOUT_SECONDS = 3600


def is_healthy(client: redis.Redis, record: BuildRecord) -> bool:
    """Whether a build's index is there, whole and not being rebuilt (as it is after a restart of Redis)."""
    info = index_info(client, record.build)
    return info is not None and not info["indexing"] and info["failures"] == 0 and info["num_docs"] == record.documents


def publish(client: redis.Redis, build: str) -> BuildRecord:
    """Make a gated build the live one; the live one becomes the previous. The caller saves (`save`).

    Safe without the build lock: the script switches only if the live build still is the one that was seen.

    Raises:
        GateRefused: the build did not pass its gates, or is no longer whole.
        IndexBuildError: another build was published meanwhile.
    """
    record = read_record(client, build)
    if record is None:
        raise IndexBuildError(
            f"Build {build} is gone",
            expected="a build that passed its gates, in Redis",
            found="no record of it: its gates refused it, or another build removed it",
            todo="build again; the live index is untouched",
        )
    if record.state not in ("ready", "previous") or not is_healthy(client, record):
        raise GateRefused(
            f"Build {build} is not fit to be published",
            expected=f"a build that passed its gates, with all its {record.documents:,} documents indexed",
            found=f"state {record.state}, index {index_info(client, build)}",
            todo="build again; the live index is untouched",
        )
    _switch(client, build)
    return replace(record, state="live")


def rollback(client: redis.Redis) -> BuildRecord:
    """Back to the previous build, which is checked first; the live one becomes the previous. The caller saves.

    Raises:
        IndexBuildError: there is no previous build.
        GateRefused: it is no longer whole.
    """
    previous = read_pointer(client).previous
    if not previous:
        raise IndexBuildError(
            "There is no build to go back to",
            expected="a build that was published before the live one",
            found="none",
            todo="build once more; from the second publish on, the one before is kept",
        )
    return publish(client, previous)


def _switch(client: redis.Redis, build: str) -> None:
    live = read_pointer(client).live
    script = (files("viberary_pipeline.index") / "publish.lua").read_text(encoding="utf-8")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    keys = [POINTER, record_key(build), record_key(live or build)]
    try:
        client.eval(script, len(keys), *keys, ALIAS, index_name(build), build, live, now)
    except redis.OutOfMemoryError as error:
        raise IndexBuildError(
            f"Build {build} could not be published: Redis is out of memory",
            expected="room for a few bytes below maxmemory",
            found=str(error),
            todo="raise maxmemory, then build again; the live index is untouched",
        ) from error
    except redis.ResponseError as error:
        raise IndexBuildError(
            f"Build {build} could not be published",
            expected=f"{live or 'nothing'} to be live still, and the alias to be free to move",
            found=str(error),
            todo="see whether another build was published meanwhile (`viberary status`), then build again",
        ) from error


def save(client: redis.Redis, build: str) -> bool:
    """Write the data set to disk now and note so in the record of the live build; whether that worked.

    What is not saved is lost with the server's next stop. (And from an append-only log that was not rewritten, an
    alias served a part of its index after a restart.)
    """
    saved = _save(client)
    client.hset(record_key(build), "saved", datetime.now(UTC).isoformat(timespec="seconds") if saved else "")
    return saved


def _save(client: redis.Redis) -> bool:
    deadline = time.monotonic() + _SAVE_TIMEOUT_SECONDS
    started = False
    while time.monotonic() < deadline:
        try:
            if not started:
                client.bgsave()
                started = True
        except redis.ResponseError as error:
            if "in progress" not in str(error).lower():
                # Managed servers forbid BGSAVE and look after persistence themselves.
                log.warning("Redis did not save after the publish: %s", error)
                return False
        state = client.info("persistence")
        if started and not state["rdb_bgsave_in_progress"]:
            if state["rdb_last_bgsave_status"] != "ok":
                log.warning("Redis could not save the published index: see its log and its disk")
            return bool(state["rdb_last_bgsave_status"] == "ok")
        time.sleep(0.05)
    log.warning("Redis still saves after %s s", _SAVE_TIMEOUT_SECONDS)
    return False
