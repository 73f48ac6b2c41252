"""Checks before the first byte of a new index is written: a fault found later would harm readers, or waste an hour."""

import redis

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.index.room import require_room
from viberary_pipeline.redis_contract import (
    ALIAS,
    POINTER,
    HnswSettings,
    aliased_index,
    as_text,
    index_name,
    read_pointer,
)
from viberary_pipeline.redis_server.connection import check_server
from viberary_pipeline.redis_server.failures import explained


def preflight(
    client: redis.Redis, documents: int, dimensions: int, hnsw: HnswSettings, *, make_room: bool = False
) -> None:
    """Raise unless this server can take one more index of that size and its names are as we left them.

    Args:
        client: The server. The caller holds its build lock.
        documents, dimensions, hnsw: Of the index to come.
        make_room: Remove the previous build where the index would not fit beside it.

    Raises:
        RedisServerError: it is too old, has no search, or evicts keys (anybody may have set so since we connected).
        IndexBuildError: no room, or the alias is not what the pointer says.
    """
    check_server(client)
    check_names(client)
    require_room(client, documents, dimensions, hnsw, make_room=make_room)


def check_usable(client: redis.Redis) -> list[str]:
    """What is asked before the first stage runs: that we may do what a build does, and no index bears the alias's name.

    FT.CREATE under the alias's name shadows the alias: readers would see that index whatever is published.

    Returns:
        The names of all indexes.

    Raises:
        RedisServerError: the user of VIBERARY_REDIS_URL lacks a right.
        IndexBuildError: there is such an index.
    """
    with explained():
        client.eval("return redis.call('EXISTS', KEYS[1])", 1, POINTER)
        indexes = sorted(map(as_text, client.execute_command("FT._LIST")))
    if ALIAS in indexes:
        raise IndexBuildError(
            "An index has the name of the alias",
            expected=f"{ALIAS} to be an alias, never an index's own name",
            found=f"an index of that name among {', '.join(indexes)}",
            todo=f"`FT.DROPINDEX {ALIAS}` on that server (the documents stay), then build again",
        )
    return indexes


def check_names(client: redis.Redis) -> None:
    """Raises `IndexBuildError` if the alias names another index than the pointer, or as `check_usable`.

    An alias that was moved by hand would hide from other programs what `viberary status` says is live. A pointer to a
    build whose index is gone names nothing: the next publish replaces it.
    """
    indexes = check_usable(client)
    live = read_pointer(client).live
    expected = index_name(live) if live and index_name(live) in indexes else ""
    found = aliased_index(client)
    if found != expected:
        raise IndexBuildError(
            "The alias and the pointer disagree on which index is live",
            expected=f"{ALIAS} on {expected or 'nothing'}",
            found=found or "no such alias",
            todo=f"`{f'FT.ALIASUPDATE {ALIAS} {expected}' if expected else f'FT.ALIASDEL {ALIAS}'}`, then build again",
        )
