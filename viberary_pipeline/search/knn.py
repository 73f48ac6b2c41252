"""KNN queries against one build's index."""

import math
from collections.abc import Sequence
from typing import Any

import redis

from viberary_pipeline.redis_contract import VECTOR, BuildRecord
from viberary_pipeline.search.replies import BuildVanishedError, Command, Row, read_rows, search_command

_FEW_WORKS = 20_000
"""So many works are compared with a query in less time than the graph is asked twice (benchmarks/filtered_knn.py)."""
_MOST_ASKED = 1_600
"""Works of the graph that are asked whether they pass a filter."""
_COST_OF_ASKING = 30
"""So many works are compared with a query while one is taken from the graph and asked (0.7 and 20 µs)."""


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
    build: str, blob: bytes, k: int, *, where: str = "", fields: Sequence[str] = (), ef_runtime: int | None = None
) -> Command:
    """The k nearest documents of those that the filter `where` lets through, best first, with `distance` (1 - cosine).

    `ef_runtime` overrides the index's own.
    """
    returned: Command = ("distance", *fields)
    ef = f" EF_RUNTIME {ef_runtime}" if ef_runtime else ""
    return search_command(
        build,
        f"{f'({where})' if where else '*'}=>[KNN {k} @{VECTOR} $query{ef} AS distance]",
        *("RETURN", len(returned)),
        *returned,
        *("SORTBY", "distance", "ASC"),  # distance: the smallest is the best
        *("LIMIT", 0, k),  # FT.SEARCH returns 10 otherwise, whatever KNN says
        *("PARAMS", 2, "query", blob),
    )


def nearest_works(
    client: redis.Redis, record: BuildRecord, blob: bytes, k: int, *, where: str = ""
) -> dict[bytes, float]:
    """{document: its cosine similarity} of the k nearest works that pass a filter, best first.

    RediSearch, left to itself, compares the query with every work that passes: with most of the catalogue if the filter
    is "in English". So the nearest works of all are asked first whether they pass. Only if too few of them do is the
    filter left to RediSearch. What passes in the whole catalogue does not say which way is faster: near a query in
    German, no work in English may be.

    Args:
        client: The server.
        record: The build to ask.
        blob: The query vector in the index's float type.
        k: How many; fewer come back only if fewer pass.
        where: The filter, in RediSearch's query language; "" for none.

    Raises:
        redis.ResponseError: no such index, or a query ran out of time.
        SearchError: the server returned a partial result with a warning, or the documents are being removed.
    """
    if where and record.documents > _FEW_WORKS:
        asked = 2 * k
        for _ in range(2):
            found = _nearest(client, record, blob, asked)
            passing = _passing(client, record, list(found), where)
            if len(passing) >= k:
                return dict([(key, cosine) for key, cosine in found.items() if key in passing][:k])
            if not passing:
                break
            share = len(passing) / len(found)
            asked = math.ceil(1.5 * k / share)  # half more than would be enough, if as many passed farther away
            if asked > _MOST_ASKED or asked * _COST_OF_ASKING > share * record.documents:
                break
    return _nearest(client, record, blob, k, where)


def _nearest(client: redis.Redis, record: BuildRecord, blob: bytes, k: int, where: str = "") -> dict[bytes, float]:
    command = knn_command(record.build, blob, k, where=where, ef_runtime=record.ef_runtime)
    return {row.key: similarity(row, record.build) for row in read_rows(client.execute_command(*command))}


def _passing(client: redis.Redis, record: BuildRecord, keys: Sequence[bytes], where: str) -> set[bytes]:
    """Those of these documents that pass a filter."""
    command = search_command(record.build, where, "INKEYS", len(keys), *keys, "NOCONTENT", "LIMIT", 0, len(keys))
    return {row.key for row in read_rows(client.execute_command(*command), contents=False)} if keys else set()
