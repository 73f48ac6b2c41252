"""One KNN query against one build's index."""

from collections.abc import Sequence
from typing import Any

import redis
from redis.commands.search.query import Query

from viberary_pipeline.errors import SearchError
from viberary_pipeline.search.schema import VECTOR, index_name

_DISTANCE = "distance"


def nearest(client: redis.Redis, build: str, blob: bytes, k: int, *, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The k documents nearest to a vector, best first.

    Args:
        client: The server.
        build: Which index.
        blob: The query vector in the index's float type.
        k: How many; fewer come back only if the index has fewer.
        fields: Which fields of the documents to return; never the vector (6 KB a result).

    Returns:
        One dict each: the fields as strings, and `score`, the cosine similarity.

    Raises:
        redis.ResponseError: no such index, or the query ran out of time.
        SearchError: the server returned a partial result with a warning.
    """
    query = (
        Query(f"*=>[KNN {k} @{VECTOR} $query AS {_DISTANCE}]")
        .return_fields(_DISTANCE, *fields)
        .sort_by(_DISTANCE, asc=True)  # distance: the smallest is the best
        .paging(0, k)  # FT.SEARCH returns 10 otherwise, whatever KNN says
        .dialect(2)
    )
    result = client.ft(index_name(build)).search(query, query_params={"query": blob})
    if result.warnings:
        raise SearchError(
            "The search returned only a part of its results",
            expected=f"the {k} nearest works",
            found="; ".join(str(warning) for warning in result.warnings),
            todo="try again; if it comes back, see Redis' load and its search TIMEOUT",
        )
    return [
        {
            "score": 1.0 - float(getattr(document, _DISTANCE)),
            **{name: getattr(document, name, "") for name in fields},
        }
        for document in result.docs
    ]
