"""What the server says of itself, and when vectors still wait to be linked."""

import pytest
from redis.commands.search.field import VectorField
from redis.commands.search.index_definition import IndexDefinition, IndexType

from viberary_pipeline.index.ef_runtime import ef_runtime_for
from viberary_pipeline.index.progress import Progress
from viberary_pipeline.index.server import describe_server, vectors_held, vectors_waiting, waiting_in
from viberary_pipeline.redis_contract import VECTOR, index_name


def test_the_server_is_described(client):
    server = describe_server(client)
    assert server.redis == client.info("server")["redis_version"]
    assert int(server.search.split(".")[0]) >= 2
    assert server.workers == int(client.config_get("search-workers").get("search-workers", 0))


def test_vectors_are_counted_and_none_wait_where_an_hset_links_them(client):
    client.ft(index_name("b")).create_index(
        [VectorField(VECTOR, "HNSW", {"TYPE": "FLOAT32", "DIM": 2, "DISTANCE_METRIC": "COSINE"})],
        definition=IndexDefinition(prefix=["d:"], index_type=IndexType.HASH),
    )
    for n in range(3):
        client.hset(f"d:{n}", mapping={VECTOR: b"\0\0\0?" * 2} if n else {"title": "without a vector"})
    assert (vectors_held(client, "b"), vectors_waiting(client, "b")) == (2, 0)
    assert (vectors_held(client, "no such"), vectors_waiting(client, "no such")) == (None, None)


def test_the_buffer_of_a_server_with_workers_is_waited_for():
    """The form of Redis 8's reply, which no server that can be had here gives: its fields are those of 2.10."""
    assert waiting_in({"BACKGROUND_INDEXING": 1, "FRONTEND_INDEX": [b"ALGORITHM", b"FLAT", b"INDEX_SIZE", 250]}) == 250
    assert waiting_in({"BACKGROUND_INDEXING": 1, "FRONTEND_INDEX": {b"INDEX_SIZE": 0}}) == 1
    assert waiting_in({"BACKGROUND_INDEXING": 0, "FRONTEND_INDEX": {b"INDEX_SIZE": 0}}) == 0
    assert waiting_in({"ALGORITHM": "HNSW"}) == 0


@pytest.mark.parametrize(
    ("documents", "dimensions", "ef_runtime"),
    [
        (3, 384, 200),
        (30_000, 384, 200),
        (30_001, 384, 400),
        (100_000, 384, 800),
        (400_000, 384, 1600),
        (1_500_000, 384, 3200),
        (20_000, 768, 400),
        (100_000, 768, 1600),
        (1_500_000, 768, 6400),
    ],
)
def test_a_larger_index_is_searched_further(documents, dimensions, ef_runtime):
    assert ef_runtime_for(documents, dimensions) == ef_runtime


def test_a_feed_says_rate_and_time_left_every_ten_seconds():
    said, now = [], [0.0]
    progress = Progress(100_000, said.append, clock=lambda: now[0])
    for now[0] in (1.0, 9.9, 10.0, 12.0, 25.0):
        progress.advance(5_000)
    assert said == [
        "15,000 of 100,000 works indexed, 1,500/s, 57 s left",
        "25,000 of 100,000 works indexed, 1,000/s, 1 min 15 s left",
    ]
