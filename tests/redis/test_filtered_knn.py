"""How the nearest works that pass a filter are found: among the nearest of all, or else by RediSearch's own way."""

from dataclasses import replace

import numpy as np
import pytest
import redis
from redis.commands.search.index_definition import IndexDefinition, IndexType

from viberary_pipeline.redis_contract import VECTOR, BuildRecord, HnswSettings, document_prefix, index_name
from viberary_pipeline.search import knn
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import nearest_works

WORKS, DIM, K = 5000, 16, 80
HNSW = HnswSettings(ef_runtime=200)
RECORD = BuildRecord("narrowed", "live", "d", "e", "f" * 16, "q", DIM, "FLOAT32", HNSW.m, 200, 200, WORKS)
MOST = Filters(languages=("en",)).to_query()
TENTH = Filters(languages=("de",)).to_query()
FIFTY = Filters(years=(1900, 1900)).to_query()
NOT_WANTED = f"{MOST} -@year:[1950 1959]"
NONE = Filters(languages=("fr",)).to_query()

PASS = {
    MOST: lambda n: n % 10 != 0,
    TENTH: lambda n: n % 10 == 0,
    FIFTY: lambda n: n % 100 == 0,
    NOT_WANTED: lambda n: n % 10 != 0 and not 50 <= n % 100 < 60,
    NONE: lambda n: False,
}


@pytest.fixture(autouse=True)
def _many_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_FEW_WORKS", WORKS - 1)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(WORKS, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def filled(client: redis.Redis, vectors: np.ndarray) -> redis.Redis:
    """An index of works in English, each tenth in German, of the years 1900 to 1999."""
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


def blob_of(query: np.ndarray) -> bytes:
    return HNSW.to_bytes(query[None])[0]


def queries_by_redis(client: redis.Redis) -> list[str]:
    """The filters of the KNN queries that were sent since the log was emptied, in their order."""
    client.config_set("slowlog-log-slower-than", -1)
    sent = [entry["command"].decode(errors="replace") for entry in client.slowlog_get(1000)]
    return [command.split(" ", 2)[2].partition("=>")[0] for command in reversed(sent) if "KNN" in command]


def log_queries(client: redis.Redis) -> None:
    client.slowlog_reset()
    client.config_set("slowlog-log-slower-than", 0)


@pytest.mark.parametrize("where", PASS)
def test_the_nearest_works_that_pass_are_found_best_first(filled: redis.Redis, vectors: np.ndarray, where: str) -> None:
    passing = np.array([n for n in range(WORKS) if PASS[where](n)], dtype=int)
    for query in vectors[:5]:
        cosines = vectors[passing] @ query
        exact = {int(passing[place]) for place in np.argsort(-cosines)[:K]}
        found = nearest_works(filled, RECORD, blob_of(query), K, where=where)
        assert len(found) == min(K, len(passing))
        assert list(found.values()) == sorted(found.values(), reverse=True)
        works = [int(key.rpartition(b":")[2]) for key in found]
        assert len(exact.intersection(works)) >= 0.9 * len(exact)
        assert list(found.values()) == pytest.approx([float(vectors[work] @ query) for work in works], abs=1e-5)


@pytest.mark.parametrize(
    ("where", "works", "sent"),
    [
        pytest.param(MOST, WORKS, ["*"], id="most pass: the nearest are asked once"),
        pytest.param(TENTH, 1_000_000, ["*", "*"], id="a tenth of many passes: more of them are asked"),
        pytest.param(TENTH, WORKS, ["*", f"({TENTH})"], id="a tenth of few passes: all that pass are compared"),
        pytest.param(FIFTY, 1_000_000, ["*", f"({FIFTY})"], id="a hundredth passes"),
        pytest.param(NONE, 1_000_000, ["*", f"({NONE})"], id="none passes"),
        pytest.param("", WORKS, ["*"], id="no filter"),
    ],
)
def test_redis_compares_all_that_pass_where_that_is_sooner(
    filled: redis.Redis, vectors: np.ndarray, where: str, works: int, sent: list[str]
) -> None:
    log_queries(filled)
    nearest_works(filled, replace(RECORD, documents=works), blob_of(vectors[1]), K, where=where)
    assert queries_by_redis(filled) == sent


def test_few_works_are_compared_at_once(
    filled: redis.Redis, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn, "_FEW_WORKS", WORKS)
    log_queries(filled)
    nearest_works(filled, RECORD, blob_of(vectors[1]), K, where=MOST)
    assert queries_by_redis(filled) == [f"({MOST})"]


def test_a_filter_in_an_index_that_is_gone_is_an_error(client: redis.Redis, vectors: np.ndarray) -> None:
    with pytest.raises(redis.ResponseError, match=r"(?i)no such index"):
        nearest_works(client, RECORD, blob_of(vectors[0]), K, where=MOST)
