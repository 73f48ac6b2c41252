"""Publish a gated build in one atomic switch, and go back to the one before."""

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import redis

from viberary_pipeline.encoders.onnx_files import read_description
from viberary_pipeline.errors import EncoderError, GateRefused, IndexBuildError
from viberary_pipeline.index.clean import remove_build
from viberary_pipeline.index.contract import (
    ALIAS,
    POINTER,
    BuildRecord,
    index_info,
    index_name,
    read_pointer,
    read_record,
    record_key,
)
from viberary_pipeline.index.gate_result import GateResult
from viberary_pipeline.search.searcher import encoder_folder

log = logging.getLogger(__name__)

_SAVE_TIMEOUT_SECONDS = 3600


def is_healthy(client: redis.Redis, record: BuildRecord) -> bool:
    """Whether a build's index is there, whole and not being rebuilt (as it is after a restart of Redis)."""
    info = index_info(client, record.build)
    return info is not None and not info["indexing"] and info["failures"] == 0 and info["num_docs"] == record.documents


def require_query_encoder(home: Path, record: BuildRecord) -> None:
    """Raise unless queries to this build would be encoded by the model that embedded its documents.

    Raises:
        GateRefused: another model's export is in this home under that name.
        EncoderError: there is none, or it cannot be read.
    """
    folder = encoder_folder(home, record)
    description = read_description(folder)
    try:
        found = (str(description["fingerprint"]), int(description["spec"]["dimensions"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(
            "The query encoder's files are damaged",
            expected=f"fingerprint and dimensions in {folder}/encoder.json",
            found=f"{type(error).__name__}: {error}",
            todo="build again, which exports the encoder anew",
        ) from error
    if found != (record.fingerprint, record.dim):
        raise GateRefused(
            f"Build {record.build} is not fit to be published: its query encoder is not the one that embedded it",
            expected=f"fingerprint {record.fingerprint} with {record.dim} dimensions",
            found=f"fingerprint {found[0]} with {found[1]} dimensions in {folder}",
            todo="run `viberary build --force`; the live index is untouched",
        )


def publish(client: redis.Redis, build: str, *, home: Path | None = None) -> BuildRecord:
    """Make a gated build the live one; the live one becomes the previous. The caller saves (`save`).

    Safe without the build lock: the script switches only if the live build still is the one that was seen.

    Args:
        client: The server.
        build: Which.
        home: VIBERARY_HOME, whose query encoder is checked against the build; None: no reader is served from here.

    Raises:
        GateRefused: the build did not pass its gates, is no longer whole, or its query encoder is another model's.
        EncoderError: there is no query encoder for it.
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
    failed = [gate["name"] for gate in record.gate_results if not gate["passed"]]
    if failed or record.state not in ("ready", "previous") or not is_healthy(client, record):
        raise GateRefused(
            f"Build {build} is not fit to be published",
            expected=f"a build that passed its gates, with all its {record.documents:,} documents indexed",
            found=f"state {record.state}, index {index_info(client, build)}"
            + (f", refused by {', '.join(failed)}" if failed else ""),
            todo="build again; the live index is untouched",
        )
    if home is not None:
        require_query_encoder(home, record)
    _switch(client, build)
    return replace(record, state="live")


def rollback(client: redis.Redis, *, home: Path | None = None) -> BuildRecord:
    """Back to the previous build, which is checked first; the live one becomes the previous. The caller saves.

    Raises:
        IndexBuildError: there is no previous build.
        GateRefused, EncoderError: it is no longer whole, or its query encoder does not fit or is gone.
    """
    previous = read_pointer(client).previous
    if not previous:
        raise IndexBuildError(
            "There is no build to go back to",
            expected="a build that was published before the live one",
            found="none",
            todo="build once more; from the second publish on, the one before is kept",
        )
    return publish(client, previous, home=home)


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


def add_gates(client: redis.Redis, build: str, results: Iterable[GateResult]) -> None:
    """Add gates that were measured after the build (the evaluation) to its record; one that failed takes it away.

    Raises:
        GateRefused: one failed. The build is gone.
        IndexBuildError: there is no such build, or it is the live one.
    """
    record = read_record(client, build)
    if record is None or record.state != "ready":
        raise IndexBuildError(
            f"No gate can be added to build {build}",
            expected="a build that awaits its publish",
            found="no record of it" if record is None else f"state {record.state}",
            todo="build again",
        )
    added = list(results)
    known = [gate for gate in record.gate_results if gate["name"] not in {result.name for result in added}]
    client.hset(record_key(build), "gates", json.dumps([*known, *(result.to_json() for result in added)]))
    failed = next((result for result in added if not result.passed), None)
    if failed is not None:
        remove_build(client, build)
        raise GateRefused(
            f"Refused by the gate {failed.name}; the live index is untouched",
            expected=f"{failed.bound}: {failed.means}",
            found=str(failed.figure),
            todo="mend the input or, if it is right, the bound; then build again",
        )


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
