"""Room for one more index: asked before the first byte is written, because a full Redis refuses everybody."""

import redis

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.search.schema import HnswSettings

# Beside the vector, which is stored twice (in the hash and in the graph): the hash's fields (title, author, 600
# characters of description, link), its key, and the graph's links. Measured on RediSearch 2.10.5.
_BYTES_BESIDE_THE_VECTORS = 3_000


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
            todo="give Redis more memory (maxmemory), or set VIBERARY_VECTOR_TYPE=FLOAT16",
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
