"""One KNN query against one build's index."""

from collections.abc import Sequence
from typing import Any

import redis

from viberary_pipeline.redis_contract import VECTOR
from viberary_pipeline.search.replies import BuildVanishedError, Command, Row, read_rows, search_command


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
