"""How a KNN query is narrowed: from the graph if the filter is broad, by comparing all that pass if it is narrow."""

import numpy as np
import pytest
import redis
from redis.commands.search.index_definition import IndexDefinition, IndexType

from viberary_pipeline.redis_contract import VECTOR, BuildRecord, HnswSettings, document_prefix, index_name
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import is_broad, knn_command
from viberary_pipeline.search.replies import read_rows

WORKS, DIM = 5000, 16
HNSW = HnswSettings(ef_runtime=200)
RECORD = BuildRecord("narrowed", "live", "d", "e", "f" * 16, "q", DIM, "FLOAT32", HNSW.m, 200, 200, WORKS)
BROAD, NARROW, NONE = (Filters.of([language], 0, None).to_query() for language in ("en", "de", "fr"))


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(WORKS, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def filled(client: redis.Redis, vectors: np.ndarray) -> redis.Redis:
    """An index of works in English, each tenth in German."""
    pipeline = client.pipeline(transaction=False)
    for n, blob in enumerate(HNSW.to_bytes(vectors)):
        fields = {VECTOR: blob, "language": "de" if n % 10 == 0 else "en", "year": 1900 + n % 100, "review_count": n}
        pipeline.hset(f"{document_prefix(RECORD.build)}{n}", mapping=fields)
    pipeline.execute()
    client.ft(index_name(RECORD.build)).create_index(
        HNSW.index_fields(DIM),
        definition=IndexDefinition(prefix=[document_prefix(RECORD.build)], index_type=IndexType.HASH),
    )
    while client.ft(index_name(RECORD.build)).info()["indexing"] not in (0, "0", b"0"):
        pass
    return client


def searches(client: redis.Redis) -> int:
    return client.info("commandstats")["cmdstat_FT.SEARCH"]["calls"]


def test_a_broad_filter_is_told_from_a_narrow_one_and_asked_for_once(filled: redis.Redis) -> None:
    assert is_broad(filled, RECORD, BROAD, 10)
    asked = searches(filled)
    assert is_broad(filled, RECORD, BROAD, 80)
    assert not is_broad(filled, RECORD, BROAD, 1000)  # as many as a good part of the catalogue
    assert is_broad(filled, RECORD, "", 10)
    assert searches(filled) == asked
    assert not is_broad(filled, RECORD, NARROW, 10)
    assert not is_broad(filled, RECORD, NONE, 10)


def test_a_filter_in_an_index_that_is_gone_is_an_error(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match=r"(?i)no such index"):
        is_broad(client, RECORD, "@language:{it}", 10)


@pytest.mark.parametrize("where", [BROAD, NARROW])
def test_both_ways_find_the_nearest_works_of_those_that_pass(
    filled: redis.Redis, vectors: np.ndarray, where: str
) -> None:
    passing = [n for n in range(WORKS) if (n % 10 == 0) == (where == NARROW)]
    for query in vectors[:20]:
        exact = {passing[place] for place in np.argsort(-(vectors[passing] @ query))[:10]}
        for batches in (False, True):
            command = knn_command(
                RECORD.build, HNSW.to_bytes(query[None])[0], 10, where=where, ef_runtime=200, batches=batches
            )
            found = {int(row.key.rpartition(b":")[2]) for row in read_rows(filled.execute_command(*command))}
            assert len(found & exact) >= 9


def test_a_broad_filter_is_not_answered_by_comparing_all(filled: redis.Redis, vectors: np.ndarray) -> None:
    """RediSearch counts what it reads of the filter's works: all of them, or about as many as it finds."""

    def read(batches: bool) -> int:
        command = knn_command(
            RECORD.build, HNSW.to_bytes(vectors[:1])[0], 80, where=BROAD, ef_runtime=200, batches=batches
        )
        reply = filled.execute_command("FT.PROFILE", command[1], "SEARCH", "QUERY", *command[2:])
        return max(_counters(reply))

    assert read(batches=True) < 500
    assert read(batches=False) > 4000


def _counters(reply: object) -> list[int]:
    """All numbers that a profile tells under a name of a counter of reads."""
    if isinstance(reply, dict):
        own = [int(value) for name, value in reply.items() if name in (b"Counter", b"Number of reading operations")]
        return own + [number for value in reply.values() for number in _counters(value)]
    return [number for value in reply for number in _counters(value)] if isinstance(reply, list) else []
