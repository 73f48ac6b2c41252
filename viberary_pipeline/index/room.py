"""Memory for one more index: how much it needs, how much is free, and what the previous build would free."""

import logging
import time
from dataclasses import dataclass

import redis

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.index.clean import known_builds, remove_build
from viberary_pipeline.redis_contract import (
    OOM_ALLOWED,
    POINTER,
    BuildRecord,
    HnswSettings,
    Pointer,
    read_pointer,
    read_record,
    record_key,
)

log = logging.getLogger(__name__)

# Beside the vector, which is stored twice (in the hash and in the graph): the hash's fields (title, author, 600
# characters of description, link), its key, and its words' postings. Measured on RediSearch 2.10.5 with 20,000 works of
# the real catalogue's lengths: 3,630; 450 for other titles, initials, volumes and numbers of editions (30,000 works);
# 200 for suggestions (benchmarks/suggestions.py), 700 for what the page shows beside (`card`, `details`, compressed); a
# tenth more for texts that are longer.
_BYTES_BESIDE_THE_VECTORS = 5_500
_SAME_SIZE = 3
"""The version of `SEARCH_FIELDS` whose documents need the most memory: version 4 compresses what version 3 holds."""
_MARGIN = 1.1
"""What an index may take beyond what those of its kind took."""
_FREES_WITHIN_SECONDS = 10.0
"""How long Redis may free nothing before it counts as done."""

# `publish` asks for the state in its own script: whichever of the two scripts comes first, the other one refuses.
_GIVE_UP_PREVIOUS = f"""{OOM_ALLOWED}
if redis.call('HGET', KEYS[1], 'previous') ~= ARGV[1] or redis.call('HGET', KEYS[2], 'state') ~= 'previous' then
    return 0
end
redis.call('HSET', KEYS[1], 'previous', '')
redis.call('HSET', KEYS[2], 'state', 'removed')
return 1
"""


def require_room(
    client: redis.Redis, documents: int, dimensions: int, hnsw: HnswSettings, *, make_room: bool = False
) -> None:
    """Raise if the server has less memory left than one more index of that size needs.

    The bound is maxmemory, or, where none is set, the memory of the server's machine.

    Args:
        client: The server. The caller holds its build lock.
        documents, dimensions, hnsw: Of the index to come.
        make_room: Remove the previous build where the index fits only without it. Then there is nothing to go back to
            until the next publish.

    Raises:
        IndexBuildError: no room.
    """
    needed, memory = needed_bytes(client, documents, dimensions, hnsw), _memory(client)
    if memory.free is None or needed <= memory.free:
        return
    pointer = read_pointer(client)
    if make_room and needed <= memory.free + _held_by(client, pointer.previous):
        memory = _remove_previous(client, pointer, needed)
    if memory.free is not None and needed > memory.free:
        raise IndexBuildError(
            "Redis has no room for another index",
            expected=f"about {_megabytes(needed)} free for {documents:,} documents of {dimensions} dimensions",
            found=f"{_megabytes(memory.free)} free of {_megabytes(memory.bound)}",
            todo="run `viberary gc`, give Redis more memory (maxmemory), or set VIBERARY_HNSW_VECTOR_TYPE=FLOAT16",
        )


def needed_bytes(client: redis.Redis, documents: int, dimensions: int, hnsw: HnswSettings) -> int:
    """What an index of that size will occupy: an estimate, or less where the builds in Redis took less.

    Those builds count if all are of the same kind as the new one. Whatever else is in Redis counts as theirs.
    """
    estimate, records = estimated_bytes(documents, dimensions, hnsw), _records(client)
    kinds = {(r.dim, r.type, r.m, min(r.search_fields, _SAME_SIZE)) if r else None for r in records.values()}
    held = sum(record.documents for record in records.values() if record)
    if kinds != {(dimensions, hnsw.for_works(documents).vector_type, hnsw.m, _SAME_SIZE)} or not held:
        return estimate
    return min(estimate, round(documents * _MARGIN * _memory(client).used / held))


def estimated_bytes(documents: int, dimensions: int, hnsw: HnswSettings) -> int:
    """What an index of that size will occupy in Redis, rounded up."""
    vector = dimensions * (2 if hnsw.for_works(documents).vector_type == "FLOAT16" else 4)
    links = 2 * hnsw.m * 8
    return documents * (2 * vector + links + _BYTES_BESIDE_THE_VECTORS)


@dataclass(frozen=True)
class _Memory:
    """In bytes. `bound`: 0 if a managed server does not say."""

    used: int
    bound: int

    @property
    def free(self) -> int | None:
        return self.bound - self.used if self.bound else None


def _memory(client: redis.Redis) -> _Memory:
    memory = client.info("memory")
    return _Memory(int(memory["used_memory"]), int(memory.get("maxmemory") or memory.get("total_system_memory") or 0))


def _records(client: redis.Redis) -> dict[str, BuildRecord | None]:
    return {build: read_record(client, build) for build in known_builds(client)}


def _held_by(client: redis.Redis, build: str) -> float:
    """The share of a build in what Redis holds, by documents; 0 if it is not known."""
    documents = {name: record.documents for name, record in _records(client).items() if record}
    return _memory(client).used * documents.get(build, 0) / max(1, sum(documents.values()))


def _remove_previous(client: redis.Redis, pointer: Pointer, needed: int) -> _Memory:
    """Remove the previous build and wait for its memory, which Redis frees in the background."""
    keys = (POINTER, record_key(pointer.previous))
    if client.eval(_GIVE_UP_PREVIOUS, len(keys), *keys, pointer.previous):
        log.warning(
            "Redis has no room for a third index: the previous build %s is removed. Until the new build is published, "
            "there is nothing to roll back to",
            pointer.previous,
        )
        remove_build(client, pointer.previous)
    memory, quiet_since = _memory(client), time.monotonic()
    while needed > (memory.free or 0) and time.monotonic() < quiet_since + _FREES_WITHIN_SECONDS:
        time.sleep(0.1)
        before, memory = memory, _memory(client)
        if memory.used < before.used:
            quiet_since = time.monotonic()
    return memory


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
