"""Publish a gated build in one atomic switch, and go back to the one before."""

import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import redis

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError, GateRefused, IndexBuildError, ViberaryError
from viberary_pipeline.index.clean import known_builds, remove_build
from viberary_pipeline.index.gate_result import INDEX_GATES, REQUIRED_GATES, GateResult, unmet_gates
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.redis_contract import (
    ALIAS,
    OOM_ALLOWED,
    POINTER,
    BuildRecord,
    aliased_index,
    as_text,
    index_info,
    index_name,
    is_healthy,
    lost_because,
    read_pointer,
    read_record,
    record_key,
)
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.sources.licences import licences_of, require_public

log = logging.getLogger(__name__)

_SAVE_TIMEOUT_SECONDS = 3600
_PUBLISHABLE = ("ready", "previous", "live")
# Only a build that awaits its publish, or one to go back to, gets a verdict: the live one passed when it was published.
_NOTE_VERDICT = f"""{OOM_ALLOWED}
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'ready' and state ~= 'previous' then return state or 'absent' end
redis.call('HSET', KEYS[1], 'gates', ARGV[1], 'state', ARGV[2] == 'failed' and 'refused' or state)
return ''
"""
_NOTE_SAVED = f"""{OOM_ALLOWED}
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'saved', ARGV[1]) end
"""
_MOVE_ALIAS = f"""{OOM_ALLOWED}
if redis.call('HGET', KEYS[1], 'live') ~= ARGV[1] then return 0 end
redis.call('FT.ALIASUPDATE', ARGV[2], ARGV[3])
return 1
"""


def standing_build(client: redis.Redis, digest: str, least_recall: float) -> BuildRecord | None:
    """A whole build of that digest that passes the gates of the index and today's bound of recall, the newest.

    It is the live one, or one that awaits its publish because the run before was killed there; never a refused one.
    """
    for build in reversed(known_builds(client)):
        record = read_record(client, build)
        if (
            record is not None
            and (record.digest, record.state in ("live", "ready")) == (digest, True)
            and unmet_gates(record.gate_results, INDEX_GATES) == ([], [])
            and record.recall >= least_recall
            and is_healthy(client, record)
        ):
            return record
    return None


def record_verdict(client: redis.Redis, build: str, result: GateResult) -> None:
    """Write the verdict of a gate that was measured after the build into its record, where `publish` reads it.

    A failed one makes the build 'refused', whatever happens next; then it is removed, now if no other builder holds
    the lock, else by the next build or `viberary gc`. The live build's record stays as it is.

    Raises:
        IndexBuildError: there is no such build, or none that could be published.
    """
    record = read_record(client, build)
    others = [gate for gate in record.gate_results if gate["name"] != result.name] if record else []
    gates = json.dumps([*others, result.to_json()])
    state = as_text(client.eval(_NOTE_VERDICT, 1, record_key(build), gates, result.outcome))
    if state not in ("", "live") and not (state == "refused" and result.failed):
        raise IndexBuildError(
            f"No verdict can be added to build {build}",
            expected="a build that awaits its publish",
            found="no record of it" if state == "absent" else f"state {state}",
            todo="run `viberary build`; the live index is untouched",
        )
    if result.failed and state != "live":
        try:
            with build_lock(client, wait_seconds=0):
                remove_build(client, build)
        except (redis.RedisError, ViberaryError) as error:
            log.warning("the refused build %s is left to the next build or `viberary gc`: %s", build, error)


def publish(client: redis.Redis, build: str, *, home: Path | None = None, public: bool = False) -> BuildRecord:
    """Make a gated build the live one; the live one becomes the previous. The caller saves (`save`).

    Safe without the build lock: the script switches only if the live build still is the one that was seen. The
    published build itself may be given again: then the alias is put back where somebody moved it.

    Args:
        client: The server.
        build: Which.
        home: VIBERARY_HOME, whose query encoder is checked against the build; None: no reader is served from here.
        public: Whether readers may be anybody: refused where a source of the build may not be served.

    Raises:
        GateRefused: a gate refused the build or left no verdict, it is no longer whole, its query encoder is another
            model's, or it may not be served.
        EncoderError: its query encoder is not there, is damaged, or does not work here.
        IndexBuildError: another build was published meanwhile.
    """
    record = read_record(client, build)
    if record is None:
        raise IndexBuildError(
            f"Build {build} is gone",
            expected="a build that passed its gates, in Redis",
            found="no record of it: its gates refused it, or another build removed it",
            todo="run `viberary build`; the live index is untouched",
        )
    if public:
        require_public(licences_of(record.source, record.licence), f"Build {build}")
    _require_fit(client, record)
    if home is not None:
        require_query_encoder(home, record)
    _switch(client, build)
    return replace(record, state="live")


def rollback(client: redis.Redis, *, home: Path | None = None, public: bool = False) -> BuildRecord:
    """Back to the previous build, which is checked as by `publish`; the live one becomes the previous.

    Raises:
        IndexBuildError: there is no previous build.
        GateRefused, EncoderError: it is not fit to be published, or its query encoder does not work.
    """
    pointer = read_pointer(client)
    if not pointer.previous:
        lost = lost_because(client, pointer.live) if pointer.live else "nothing is published"
        raise IndexBuildError(
            "There is no build to go back to",
            expected="a previous build in viberary:pointer",
            found="none" + (f", and the live build {pointer.live} is lost: {lost}" if lost and pointer.live else ""),
            todo="run `viberary build`"
            if lost
            else "to undo bad data, build from the files as they were. There is a build to go back to once `viberary "
            "build` has published another one: from other raw files, with other settings, or with --force",
        )
    return publish(client, pointer.previous, home=home, public=public)


def _require_fit(client: redis.Redis, record: BuildRecord) -> None:
    failed, missing = unmet_gates(record.gate_results)
    if not failed and not missing and record.state in _PUBLISHABLE and is_healthy(client, record):
        return
    found = [f"state {record.state}", f"index {index_info(client, record.build) or 'gone'}"]
    found += [f"refused by {', '.join(failed)}"] * bool(failed)
    found += [f"no verdict of {', '.join(missing)}"] * bool(missing)
    todo = "run `viberary build`"
    if failed:
        todo = "correct the input or, if it is right, the bound; then run `viberary build`"
    elif missing and record.state == "ready":
        todo = "materialize evaluation_report, then published_index; or run `viberary build`"
    raise GateRefused(
        f"Build {record.build} is not fit to be published",
        expected=f"a verdict of every gate, none of them a refusal, and all its {record.documents:,} documents indexed",
        found=", ".join(found),
        todo=f"{todo}; the live index is untouched",
    )


def require_query_encoder(home: Path, record: BuildRecord) -> None:
    """Load the query encoder of a build and prove that it works here and is of the documents' space.

    Raises:
        GateRefused: another model's export is in this home under that name.
        EncoderError: there is none, it is damaged, or it computes other vectors on this machine.
    """
    try:
        encoder = QueryEncoder(encoder_folder(home, record))
    except EncoderError as error:
        raise EncoderError(
            f"Build {record.build} cannot be searched from here: {error.what}",
            expected=error.expected,
            found=error.found,
            todo="restore its query encoder, or run `viberary build`, which makes a new one; "
            "the live index is untouched",
        ) from error
    if not encoder.shares(record.fingerprint, record.dim):
        raise GateRefused(
            f"Build {record.build} is not fit to be published: its query encoder does not share the space of the "
            "encoder that embedded it",
            expected=f"fingerprint {record.fingerprint} with {record.dim} dimensions, or a query encoder of that space",
            found=f"{encoder} in {encoder.folder}",
            todo="run `viberary build --force`; the live index is untouched",
        )


def _switch(client: redis.Redis, build: str) -> None:
    pointer = read_pointer(client)
    live, previous = pointer.live, pointer.previous
    if live not in ("", build) and not lost_because(client, live):
        previous = live  # a lost one is nothing to go back to: the one before it stays
    script = (files("viberary_pipeline.index") / "publish.lua").read_text(encoding="utf-8")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    keys = [POINTER, record_key(build), record_key(live or build)]
    values = [ALIAS, index_name(build), build, live, "" if previous == build else previous, now, *REQUIRED_GATES]
    try:
        client.eval(script, len(keys), *keys, *values)
    except redis.OutOfMemoryError as error:
        raise IndexBuildError(
            f"Build {build} could not be published: Redis is out of memory",
            expected="a few bytes of free memory below maxmemory",
            found=str(error),
            todo="run `viberary gc`, or raise maxmemory; then try again. The live index is untouched",
        ) from error
    except redis.ResponseError as error:
        refused = str(error).startswith("REFUSED")
        raise (GateRefused if refused else IndexBuildError)(
            f"Build {build} could not be published",
            expected="every required gate to let it pass" if refused else f"{live or 'nothing'} still to be live",
            found=str(error),
            todo="look at `viberary status` to see what happened to it meanwhile, then build again",
        ) from error


def mend_names(client: redis.Redis) -> None:
    """Before a build: make alias and pointer agree again where one of them was removed or moved by hand.

    The pointer decides where its build is there; where it is gone, so does an alias on a build that may be published.
    An alias on an index that is none of ours is left alone: `preflight` refuses it.
    """
    live, aliased = read_pointer(client).live, aliased_index(client)
    build = aliased.removeprefix(index_name(""))
    if aliased and build == aliased:
        return
    if live and index_info(client, live) is not None:
        if build != live and client.eval(_MOVE_ALIAS, 1, POINTER, live, ALIAS, index_name(live)):
            log.warning("the alias %s was on %s; it is on the live build %s again", ALIAS, aliased or "nothing", live)
    elif aliased:
        try:
            publish(client, build)
            log.warning("the pointer named %s; it names the build of the alias again, %s", live or "nothing", build)
        except ViberaryError:
            client.ft().aliasdel(ALIAS)
            log.warning("the alias %s was on %s, which is not fit to be published; it was removed", ALIAS, aliased)


def is_published(client: redis.Redis, build: str) -> bool:
    """Whether pointer and alias both say that a build is live."""
    return read_pointer(client).live == build and aliased_index(client) == index_name(build)


def save(client: redis.Redis, build: str) -> bool:
    """Write the data set to disk now and note so in the record of the live build; whether that worked.

    What is not saved is lost with the server's next stop. (And from an append-only log that was not rewritten, an
    alias served a part of its index after a restart.)
    """
    saved = _save(client)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    client.eval(_NOTE_SAVED, 1, record_key(build), now if saved else "")
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
                log.warning("Redis did not save: %s", error)
                return False
        state = client.info("persistence")
        if started and not state["rdb_bgsave_in_progress"]:
            if state["rdb_last_bgsave_status"] != "ok":
                log.warning("Redis could not save the published index: see its log and its disk")
            return bool(state["rdb_last_bgsave_status"] == "ok")
        time.sleep(0.05)
    log.warning("Redis still saves after %s s", _SAVE_TIMEOUT_SECONDS)
    return False
