"""Removal of builds, without blocking the server and without touching what is live."""

import logging
import platform
from datetime import UTC, datetime, timedelta

import redis

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.owner import is_dead, read_owner
from viberary_pipeline.redis_contract import (
    RECORDS,
    as_text,
    document_prefix,
    index_is_missing,
    index_name,
    read_pointer,
    read_record,
    record_key,
    side_keys,
)

log = logging.getLogger(__name__)

INDEXES = index_name("")
_PORTION = 500
_PUBLISH_WITHIN = timedelta(hours=1)


def remove_build(client: redis.Redis, build: str) -> int:
    """Drop a build's index, then its documents in portions, then its record; returns how many documents.

    FT.DROPINDEX with DD would block the server for the whole removal, and UNLINK of a document that is still
    indexed costs a graph repair each; index first, keys after, blocks nothing.

    Raises:
        IndexBuildError: it is the published build.
    """
    if build == read_pointer(client).live:
        raise IndexBuildError(
            "The live build cannot be removed",
            expected="a build that is not published",
            found=build,
            todo="publish another build or roll back first",
        )
    try:
        client.ft(index_name(build)).dropindex(delete_documents=False)
    except redis.ResponseError as error:
        if not index_is_missing(error):
            raise
    removed = 0
    portion: list[bytes] = []
    for key in client.scan_iter(match=f"{document_prefix(build)}*", count=_PORTION):
        portion.append(key)
        if len(portion) == _PORTION:
            removed += int(client.unlink(*portion))
            portion.clear()
    if portion:
        removed += int(client.unlink(*portion))
    client.unlink(*side_keys(build))
    client.delete(record_key(build))
    log.info("removed build %s with %s documents", build, f"{removed:,}")
    return removed


def known_builds(client: redis.Redis) -> list[str]:
    """The names of all builds that this Redis has a record of, oldest first."""
    return sorted(key.decode().removeprefix(RECORDS) for key in client.scan_iter(match=f"{RECORDS}*", count=_PORTION))


def unneeded_builds(client: redis.Redis) -> list[str]:
    """Every build that has a record, but the live one, the one before it, and those that await their publish.

    These are what killed builds left and what was published before the last two.
    """
    pointer = read_pointer(client)
    return [
        build
        for build in known_builds(client)
        if build not in (pointer.live, pointer.previous) and not _awaits_publish(client, build)
    ]


def remove_unneeded(client: redis.Redis) -> list[str]:
    """Remove `unneeded_builds`; returns their names. Call it under the build lock."""
    unneeded = unneeded_builds(client)
    for build in unneeded:
        remove_build(client, build)
    return unneeded


def orphaned_builds(client: redis.Redis) -> list[str]:
    """Builds without a record of which an index or keys are there: no killed build leaves such, a hand may.

    Those that the pointer names are none: readers may be answered from them. Walks the whole keyspace. Ask under the
    build lock: a build's record is written first and removed last.
    """
    indexes = map(as_text, client.execute_command("FT._LIST"))
    names = {name.removeprefix(INDEXES) for name in indexes if name.startswith(INDEXES)}
    for key in map(as_text, client.scan_iter(match="viberary:*:*", count=_PORTION)):
        build = key.removeprefix("viberary:").split(":", 1)[0]
        if key.startswith(document_prefix(build)) or key in side_keys(build):
            names.add(build)
    pointer = read_pointer(client)
    return sorted(names - set(known_builds(client)) - {pointer.live, pointer.previous})


def _awaits_publish(client: redis.Redis, build: str) -> bool:
    """Whether a run that is under way made this build and has yet to publish it (another machine's: for an hour)."""
    record = read_record(client, build)
    if record is None or record.state != "ready" or is_dead(record.owner):
        return False
    if read_owner(record.owner).get("host") == platform.node():
        return True
    return datetime.now(UTC) - datetime.fromisoformat(record.created) < _PUBLISH_WITHIN
