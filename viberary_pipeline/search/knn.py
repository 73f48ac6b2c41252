"""One KNN query against one build's index."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import redis

from viberary_pipeline.redis_contract import VECTOR, BuildRecord
from viberary_pipeline.search.replies import BuildVanishedError, Command, Row, read_rows, read_total, search_command

_COST_OF_A_BATCHED_WORK = 24
"""How many comparisons one work of the graph costs (chosen by benchmarks/filtered_knn.py)."""


def nearest(
    client: redis.Redis, build: str, blob: bytes, k: int, *, fields: Sequence[str], ef_runtime: int | None = None
) -> list[dict[str, Any]]:
    """The k documents nearest to a vector, best first.

    Args:
        client: The server.
        build: Which index.
        blob: The query vector in the index's float type.
        k: How many; fewer come back only if the index has fewer.
        fields: Which fields of the documents to return; never the vector (6 KB a result).
        ef_runtime: Candidates looked at; None: as many as the index itself says.

    Returns:
        One dict each: the fields as strings, and `score`, the cosine similarity.

    Raises:
        redis.ResponseError: no such index, or the query ran out of time.
        SearchError: the server returned a partial result with a warning, or the documents are being removed.
    """
    rows = read_rows(client.execute_command(*knn_command(build, blob, k, fields=fields, ef_runtime=ef_runtime)))
    return [{"score": similarity(row, build), **{name: row.text(name) for name in fields}} for row in rows]


def similarity(row: Row, build: str) -> float:
    """The cosine similarity of a row of a `knn_command`. Raises `BuildVanishedError` if its document is gone."""
    if b"distance" not in row.fields:
        raise BuildVanishedError(build)
    return 1.0 - float(row.fields[b"distance"])


def knn_command(
    build: str,
    blob: bytes,
    k: int,
    *,
    where: str = "",
    fields: Sequence[str] = (),
    ef_runtime: int | None = None,
    batches: bool = False,
) -> Command:
    """The k nearest documents of those that the filter `where` lets through, best first, with `distance` (1 - cosine).

    Args:
        build, blob, k, fields: As for `nearest`.
        where: In RediSearch's query language; "" for none.
        ef_runtime: Overrides the index's own.
        batches: The filter is broad (`is_broad`).
    """
    returned: Command = ("distance", *fields)
    ef = f" EF_RUNTIME {ef_runtime}" if ef_runtime else ""
    policy = " HYBRID_POLICY BATCHES" if batches else ""
    return search_command(
        build,
        f"{f'({where})' if where else '*'}=>[KNN {k} @{VECTOR} $query{ef}{policy} AS distance]",
        *("RETURN", len(returned)),
        *returned,
        *("SORTBY", "distance", "ASC"),  # distance: the smallest is the best
        *("LIMIT", 0, k),  # FT.SEARCH returns 10 otherwise, whatever KNN says
        *("PARAMS", 2, "query", blob),
    )


def is_broad(client: redis.Redis, record: BuildRecord, where: str, k: int) -> bool:
    """Whether the k nearest works that a filter lets through are found sooner in the graph than by comparing them all.

    RediSearch has two ways. With ADHOC_BF it compares the query with every work that the filter lets through. With
    BATCHES it takes the nearest works from the graph, batch by batch, until k of them pass the filter: about k divided
    by the share that passes. Left to itself it takes the first way for 80 works in English, and so compares most of
    the catalogue with each query.

    How many works pass is asked once for each build and filter. All of them pass where there is no filter ("").

    Raises:
        redis.ResponseError: no such index.
        SearchError: the reply cannot be read.
    """
    passing = _passing(client, record.build, where) if where else record.documents
    return passing * passing > _COST_OF_A_BATCHED_WORK * k * record.documents


@lru_cache(maxsize=1024)
def _passing(client: redis.Redis, build: str, where: str) -> int:
    return read_total(client.execute_command(*search_command(build, where, "LIMIT", 0, 0)))
