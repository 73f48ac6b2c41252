"""Checks before the first byte of a new index is written: a fault found later would harm readers, or waste an hour."""

import redis

from viberary_pipeline.errors import IndexBuildError
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

# Beside the vector, which is stored twice (in the hash and in the graph): the hash's fields (title, author, 600
# characters of description, link), its key, and its words' postings. Measured on RediSearch 2.10.5 with 20,000 works of
# the real catalogue's lengths: 3,630; 450 for other titles, initials, volumes and numbers of editions (30,000 works);
# 200 for suggestions (benchmarks/suggestions.py), 1,300 for what the page shows beside (`card`, `details`); a tenth
# more for texts that are longer.
_BYTES_BESIDE_THE_VECTORS = 6_100


def preflight(client: redis.Redis, documents: int, dimensions: int, hnsw: HnswSettings) -> None:
    """Raise unless this server can take one more index of that size and its names are as we left them.

    Raises:
        RedisServerError: it is too old, has no search, or evicts keys (anybody may have set so since we connected).
        IndexBuildError: no room, or the alias is not what the pointer says.
    """
    check_server(client)
    check_names(client)
    check_room(client, documents, dimensions, hnsw)


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


def estimated_bytes(documents: int, dimensions: int, hnsw: HnswSettings) -> int:
    """What an index of that size will occupy in Redis, rounded up."""
    vector = dimensions * (2 if hnsw.vector_type == "FLOAT16" else 4)
    links = 2 * hnsw.m * 8
    return documents * (2 * vector + links + _BYTES_BESIDE_THE_VECTORS)


def check_room(client: redis.Redis, documents: int, dimensions: int, hnsw: HnswSettings) -> None:
    """Raises `IndexBuildError` if the server has less memory left than one more index of that size needs.

    The bound is maxmemory, or, where none is set, the memory of the server's machine.
    """
    memory = client.info("memory")
    bound = int(memory.get("maxmemory") or memory.get("total_system_memory") or 0)
    if not bound:
        return  # a managed server that does not say
    needed, free = estimated_bytes(documents, dimensions, hnsw), bound - int(memory["used_memory"])
    if needed > free:
        raise IndexBuildError(
            "Redis has no room for another index",
            expected=f"about {_megabytes(needed)} free for {documents:,} documents of {dimensions} dimensions",
            found=f"{_megabytes(free)} free of {_megabytes(bound)}",
            todo="run `viberary gc`, give Redis more memory (maxmemory), or set VIBERARY_HNSW_VECTOR_TYPE=FLOAT16",
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
