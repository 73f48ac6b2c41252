"""Search on a real index: order, ties, what a query may be, readiness, and a switch under way."""

import threading
import time

import numpy as np
import pytest
import redis
from redis.commands.search.index_definition import IndexDefinition, IndexType

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import BookNotFound, EncoderError, QueryError, SearchError, SearchUnavailable
from viberary_pipeline.index.publish import rollback
from viberary_pipeline.redis_contract import (
    LUCKY,
    POINTER,
    document_prefix,
    index_info,
    index_name,
    read_record,
    record_key,
)
from viberary_pipeline.redis_server.probe import local_url, open_client
from viberary_pipeline.search import knn
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.query import MOST_CHARACTERS, clean_query
from viberary_pipeline.search.searcher import Searcher, encoder_folder
from viberary_pipeline.search.weights import SearchSettings


@pytest.fixture
def searcher(published) -> Searcher:
    return Searcher(published.redis, published.home)


def copy_build(source: redis.Redis, target: redis.Redis, build: str, name: str) -> None:
    """A published build once more under another name: record, index, documents."""
    target.hset(record_key(name), mapping={**source.hgetall(record_key(build)), b"build": name})
    record = read_record(target, name)
    target.ft(index_name(name)).create_index(
        record.hnsw.index_fields(record.dim),
        definition=IndexDefinition(prefix=[document_prefix(name)], index_type=IndexType.HASH),
    )
    wait_until_scanned(target, name)
    pipeline = target.pipeline(transaction=False)
    for key in list(source.scan_iter(f"{document_prefix(build)}*")):
        pipeline.hset(key.replace(build.encode(), name.encode()), mapping=source.hgetall(key))
    pipeline.execute()


def wait_until_scanned(client: redis.Redis, build: str) -> None:
    """A new index scans the server in the background. A document that is written meanwhile may be indexed twice, and
    BM25 counts it twice."""
    while index_info(client, build)["indexing"]:
        time.sleep(0.01)


@pytest.fixture
def copied(client, published):
    """The published build in a scratch Redis, where a test may break it."""
    client.hset(POINTER, mapping=published.redis.hgetall(POINTER))
    copy_build(published.redis, client, published.build, published.build)
    return client


VECTORS_ALONE = SearchSettings(lexical_weight=0, find_names=False)


def test_results_are_in_the_order_of_exact_cosine_similarity(published):
    searcher = Searcher(published.redis, published.home, VECTORS_ALONE)
    record = read_record(published.redis, published.build)
    keys = sorted(published.redis.scan_iter(f"{document_prefix(record.build)}*"))
    vectors = np.frombuffer(b"".join(published.redis.hget(key, "vector") for key in keys), "<f4").reshape(
        -1, record.dim
    )
    for query in ("funny sci-fi", "cold-blooded revenge", "a lonely lighthouse in winter"):
        exact = vectors @ searcher._live()[1].encode([query])[0]
        best = np.argsort(-exact)[:10]
        hits = searcher.search(query).results
        assert [hit.work_id for hit in hits] == [keys[row].decode().rsplit(":", 1)[1] for row in best]
        assert [hit.score for hit in hits] == pytest.approx(exact[best], abs=1e-5)


def test_equal_works_are_ordered_by_review_count(copied, published):
    record = read_record(copied, published.build)
    prefix = document_prefix(record.build)
    original = Searcher(copied, published.home, VECTORS_ALONE).search("funny sci-fi", 1).results[0]
    for name, reviews in (("twin-a", 7), ("twin-b", 10**9)):
        copied.hset(
            f"{prefix}{name}",
            mapping={
                **copied.hgetall(f"{prefix}{original.work_id}"),
                b"work_id": name,
                b"title": name,  # else they are copies, of which one is shown
                b"review_count": reviews,
            },
        )
    hits = Searcher(copied, published.home, VECTORS_ALONE).search("funny sci-fi", 3).results
    assert [hit.work_id for hit in hits] == ["twin-b", original.work_id, "twin-a"]
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_no_vector_is_returned(published):
    record = read_record(published.redis, published.build)
    blob = np.ones((1, record.dim), "<f4")[0].tobytes()
    (hit,) = nearest(published.redis, record.build, blob, 1, fields=("title",))
    assert set(hit) == {"score", "title"}


def test_a_search_that_ran_out_of_time_is_no_answer(client):
    """Exact search of 123 MB of vectors takes several times the millisecond that it gets here."""
    build, count, dim = "slow", 60_000, 512
    client.execute_command(
        *("FT.CREATE", index_name(build), "ON", "HASH", "PREFIX", 1, document_prefix(build), "SCHEMA"),
        *("vector", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", dim, "DISTANCE_METRIC", "COSINE"),
    )
    vectors = np.random.default_rng(0).standard_normal((count, dim), dtype=np.float32)
    pipeline = client.pipeline(transaction=False)
    for row, vector in enumerate(vectors):
        pipeline.hset(f"{document_prefix(build)}{row}", mapping={"vector": vector.tobytes(), "work_id": row})
    pipeline.execute()
    asked = (client, build, vectors[0].tobytes(), 10)
    assert nearest(*asked, fields=("work_id",))[0]["work_id"] == "0"
    client.execute_command("FT.CONFIG", "SET", "TIMEOUT", 1)
    try:
        with pytest.raises(redis.ResponseError, match="Timeout"):
            nearest(*asked, fields=("work_id",))
        client.execute_command("FT.CONFIG", "SET", "ON_TIMEOUT", "RETURN")  # as on a server that is not set up
        with pytest.raises(SearchError, match="only a part") as failure:
            nearest(*asked, fields=("work_id",))
        assert "Timeout" in failure.value.found
    finally:
        client.execute_command("FT.CONFIG", "SET", "TIMEOUT", 1000)
        client.execute_command("FT.CONFIG", "SET", "ON_TIMEOUT", "FAIL")


@pytest.mark.parametrize("k", [1, 10, 25, 100])
def test_k_results_come_back(searcher, k):
    assert len(searcher.search("love", k).results) == k


@pytest.mark.parametrize(
    ("query", "clean"),
    [
        ("funny sci-fi", "funny sci-fi"),
        ("  two\t\nwords ", "two words"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("zero\u200bwidth", "zero width"),
        ("Cafe\u0301", "Café"),
        ('@title:{x} => [KNN 1] | -(a) "b" * % ~', '@title:{x} => [KNN 1] | -(a) "b" * % ~'),
        ("Преступление 罪と罰 🐉", "Преступление 罪と罰 🐉"),
        ("x" * 10_000, "x" * MOST_CHARACTERS),
    ],
)
def test_clean_query(query, clean):
    assert clean_query(query) == clean


@pytest.mark.parametrize("query", ["", "   ", "\x00\x01", "\u200b"])
def test_a_query_that_says_nothing_is_refused(searcher, query):
    with pytest.raises(QueryError, match="The query is empty"):
        searcher.search(query)


@pytest.mark.parametrize(
    "query",
    [
        "@title:{x} => [KNN 1]",
        "Преступление и наказание",
        "🐉🔥",
        "word " * 2000,
        " ".join(f"word{n}" for n in range(2000)),
        "' OR 1=1 --",
        "$query",
        "~ | - % * \\ ( ) [ ] { } < > \" ' ` ^ & = + ; : , . / ? ! # @ _ __ ~a|b -c %d% *e",
        "the and of",
        "1984",
        "吾輩は猫である",
        "naïve café — “quoted”… it’s",
        "a\u0000b\ud800c",
    ],
)
def test_any_other_text_gets_ten_results(searcher, query):
    response = searcher.search(query)
    assert (response.query, len(response.results)) == (query, 10)


@pytest.mark.parametrize(
    ("query", "title", "named"),
    [
        ("Neuromancer", "Neuromancer", "title"),
        ("neuormancer", "Neuromancer", "title"),
        ("Guards, guards", "Guards! Guards!", "title"),
        ("one hundred years of solitude", "One Hundred Years of Solitude", "title"),
        ("hundred years of solitude garcia marquez", "One Hundred Years of Solitude", ""),
        ("Gabriel Garcia Marquez One Hundred Years of Solitude", "One Hundred Years of Solitude", "title"),
        ("the trial", "The Trial", "title"),
        ("catch 22", "Catch-22", "title"),
        ("SPQR", "SPQR: A History of Ancient Rome", "title"),
        ("夏目漱石", "吾輩は猫である", "author"),
        ("Virgina Woolf", "Mrs. Dalloway", "author"),
    ],
)
def test_a_query_that_names_a_book_finds_it_first(searcher, query, title, named):
    first = searcher.search(query).results[0]
    assert (first.title, first.named) == (title, named)


def test_an_authors_name_finds_their_books_first_most_reviewed_first(searcher):
    hits = searcher.search("jane austen").results
    assert {hit.title for hit in hits[:2]} == {"Pride and Prejudice", "Persuasion"}
    assert hits[0].review_count >= hits[1].review_count
    assert [hit.named for hit in hits] == ["author", "author"] + [""] * 8
    assert len(hits) == 10


def test_a_vibe_is_no_name(searcher):
    for query in ("funny sci-fi", "cold-blooded revenge", "winter", "a quiet sad life", "war"):
        assert {hit.named for hit in searcher.search(query).results} == {""}


def test_a_sentence_of_the_description_finds_its_book(published, searcher):
    prefix = document_prefix(published.build)
    for key in sorted(published.redis.scan_iter(f"{prefix}*"))[::25]:
        description = published.redis.hget(key, "description").decode()
        sentence = max(description.split(". "), key=len)
        if len(sentence.split()) >= 8:
            assert searcher.search(sentence).results[0].work_id == key.decode().rsplit(":", 1)[1], sentence


def test_the_score_is_the_cosine_whatever_the_order(published, searcher):
    record = read_record(published.redis, published.build)
    for query in ("Neuromancer", "cold-blooded revenge"):
        asked = searcher._live()[1].encode([query])[0]
        for hit in searcher.search(query).results:
            blob = published.redis.hget(f"{document_prefix(record.build)}{hit.work_id}", "vector")
            assert hit.score == pytest.approx(np.frombuffer(blob, "<f4") @ asked, abs=1e-5)


def test_words_raise_a_book_over_one_that_is_nearer(searcher, published):
    """The order is cosine + weight x BM25; with weight 0 it is the cosine's."""
    query = "sprawling multi-generational epic about trees and people"
    both = searcher.search(query).results
    alone = Searcher(published.redis, published.home, VECTORS_ALONE).search(query).results
    assert [hit.score for hit in alone] == sorted((hit.score for hit in alone), reverse=True)
    assert [hit.work_id for hit in both] != [hit.work_id for hit in alone]
    assert {"The Overstory", "Greenwood", "Barkskins"} <= {hit.title for hit in both[:7]}


def test_a_word_of_a_title_makes_no_mood(searcher):
    """ "cold" and "blood" in a title do not raise it; in a description they do, and an author's name does."""
    titles = [hit.title for hit in searcher.search("cold-blooded revenge").results]
    assert set(titles[:3]) == {"Best Served Cold", "The Bride Wore Black", "The Hunter"}
    assert "In Cold Blood" not in titles
    for query in ("something funny by Pratchett", "funny by terry pratchet"):
        assert "Pratchett" in searcher.search(query, 5).results[0].author


def test_half_a_title_and_a_surname_find_their_works(searcher):
    assert searcher.search("served cold", 1).results[0].title == "Best Served Cold"
    assert "Steinbeck" in searcher.search("Steinbeck", 1).results[0].author


def test_filters_narrow_a_search(searcher):
    every = searcher.search("love and war", 100).results
    years = searcher.search("love and war", 10, Filters(years=(1990, 1999))).results
    assert len(years) == 10
    assert all(1990 <= hit.year <= 1999 for hit in years)
    least = sorted(hit.review_count for hit in every)[-20]
    much = searcher.search("love and war", 10, Filters(min_reviews=least)).results
    assert min(hit.review_count for hit in much) >= least
    french = searcher.search("love and war", 10, Filters(languages=("fr", "ja"))).results
    assert {hit.title for hit in french} == {"Le Petit Nicolas", "吾輩は猫である"}
    named = searcher.search("Neuromancer", 10, Filters(years=(2000, None))).results
    assert "Neuromancer" not in {hit.title for hit in named}


def test_similar_books_come_from_the_stored_vector(published, searcher):
    record = read_record(published.redis, published.build)
    keys = sorted(published.redis.scan_iter(f"{document_prefix(record.build)}*"))
    vectors = np.frombuffer(b"".join(published.redis.hget(key, "vector") for key in keys), "<f4")
    vectors = vectors.reshape(-1, record.dim)
    book = searcher.search("The Overstory", 1).results[0]
    place = keys.index(f"{document_prefix(record.build)}{book.work_id}".encode())
    best = [row for row in np.argsort(-(vectors @ vectors[place])) if row != place][:10]
    for asked in (book.book_id, book.work_id):
        response = searcher.similar(asked)
        assert response.query == asked
        assert [hit.work_id for hit in response.results] == [keys[row].decode().rsplit(":", 1)[1] for row in best]
    with pytest.raises(QueryError, match="No such book"):
        searcher.similar("no such {book}|*")


def test_copies_by_one_author_are_folded(copied, published):
    searcher = Searcher(copied, published.home)
    original = searcher.search("The Overstory").results[0]
    prefix = document_prefix(published.build)
    stored = copied.hgetall(f"{prefix}{original.work_id}")
    for name, title in (("copy", b"The Overstory (Abridged)"), ("other", b"The Overstory Companion")):
        copied.hset(f"{prefix}{name}", mapping={**stored, b"work_id": name, b"title": title, b"review_count": 0})
    found = [hit.work_id for hit in searcher.search("trees and the people who love them", 20).results]
    assert original.work_id in found
    assert "other" in found
    assert "copy" not in found
    assert "copy" not in [hit.work_id for hit in searcher.similar(original.book_id).results]


@pytest.mark.parametrize("copies", [2, 7, 12])
def test_many_copies_leave_the_ten_works_in_their_order(copied, published, copies):
    """Of the first, the fifth and the last: they fill the places of fields that were fetched ahead."""
    searcher = Searcher(copied, published.home, VECTORS_ALONE)
    before = searcher.search("cold-blooded revenge").results
    prefix = document_prefix(published.build)
    for hit in (before[0], before[4], before[9]):
        stored = copied.hgetall(f"{prefix}{hit.work_id}")
        for number in range(copies):
            name = f"{hit.work_id}-copy-{number}"
            copied.hset(f"{prefix}{name}", mapping={**stored, b"work_id": name, b"review_count": 0})
    after = searcher.search("cold-blooded revenge").results
    assert after == before


def test_a_build_of_an_older_version_is_searched_by_its_vectors(copied, published):
    copied.hset(record_key(published.build), "search_fields", "0")
    searcher = Searcher(copied, published.home)
    expected = Searcher(published.redis, published.home, VECTORS_ALONE).search("cold-blooded revenge")
    assert searcher.search("cold-blooded revenge").results == expected.results
    with pytest.raises(SearchError, match="cannot filter"):
        searcher.search("cold-blooded revenge", 10, Filters(min_reviews=1))


def test_a_client_of_the_older_protocol_gets_the_same(published, searcher):
    kwargs = published.redis.connection_pool.connection_kwargs
    older = redis.Redis(host=kwargs["host"], port=kwargs["port"], protocol=2)
    for query in ("cold-blooded revenge", "neuormancer", "Jane Austen"):
        assert Searcher(older, published.home).search(query) == searcher.search(query)


def test_readiness_waits_for_the_whole_index(copied, published):
    searcher = Searcher(copied, published.home)
    assert searcher.readiness().ready
    some = next(copied.scan_iter(f"{document_prefix(published.build)}*"))
    copied.unlink(some)
    state = searcher.readiness()
    documents = published.outcome["documents"]
    assert (state.ready, state.documents) == (False, documents - 1)
    assert state.reason == f"the index is loading: {documents - 1} of {documents} works"
    copied.ft(index_name(published.build)).dropindex()
    assert searcher.readiness().reason == "the live index is gone"
    with pytest.raises(SearchError, match="The live index does not answer"):
        searcher.search("revenge")


def test_nothing_published_and_redis_away_say_so(client, tmp_path):
    searcher = Searcher(client, tmp_path)
    with pytest.raises(SearchError, match="Nothing is published yet"):
        searcher.search("revenge")
    assert not searcher.readiness().ready
    away = Searcher(open_client(local_url(1), answer_seconds=1), tmp_path)
    with pytest.raises(SearchError, match="Redis does not answer"):
        away.search("revenge")
    with pytest.raises(SearchError, match="Redis does not answer"):
        away.book("1")
    with pytest.raises(SearchError, match="Redis does not answer"):
        away.lucky()
    assert not away.readiness().ready


def test_only_what_fails_every_query_ends_a_batch(copied, published, client, tmp_path):
    searcher, reported = Searcher(copied, published.home), []
    copied.ft(index_name(published.build)).dropindex()
    responses = list(searcher.search_each(["love", " ", "war"], report=reported.append))
    assert [(r.query, r.build, r.results) for r in responses] == [
        (q, published.build, ()) for q in ("love", " ", "war")
    ]
    assert [type(error) for error in reported] == [SearchError, QueryError, SearchError]
    copied.delete(POINTER)
    away = open_client(local_url(1), answer_seconds=1)
    for broken in (Searcher(copied, published.home), Searcher(away, tmp_path)):
        with pytest.raises(SearchUnavailable):
            list(broken.search_each(["love"], report=reported.append))
    assert len(reported) == 3


def test_a_query_that_redis_refuses_is_told_from_an_index_that_is_gone(copied, published):
    searcher = Searcher(copied, published.home)
    copied.hset(record_key(published.build), "type", "FLOAT16")  # vectors of half the index's length
    with pytest.raises(SearchError, match="Redis refused this search"):
        searcher.search("love")


@pytest.mark.parametrize(("field", "value"), [("documents", "many"), ("ef_runtime", "-1"), ("type", "INT4")])
def test_a_record_that_cannot_be_read_is_a_message(copied, published, field, value):
    copied.hset(record_key(published.build), field, value)
    searcher = Searcher(copied, published.home)
    with pytest.raises(SearchUnavailable, match="no record that can be read"):
        searcher.search("love")
    assert searcher.readiness().reason == f"The live build {published.build} is lost"


def test_readiness_names_no_host(tmp_path):
    away = open_client("redis://nowhere.invalid/0", answer_seconds=1)
    assert Searcher(away, tmp_path).readiness().reason == "Redis does not answer"


def test_the_encoder_of_other_documents_is_refused(copied, published):
    copied.hset(record_key(published.build), "fingerprint", "0" * 16)
    with pytest.raises(EncoderError, match="does not share the space of the encoder that embedded the documents"):
        Searcher(copied, published.home).search("revenge")


def test_a_missing_encoder_is_named(copied, tmp_path):
    with pytest.raises(EncoderError, match="not in this VIBERARY_HOME"):
        Searcher(copied, tmp_path).search("revenge")


def test_a_build_that_is_no_longer_live_is_not_asked_again(copied, published):
    searcher = Searcher(copied, published.home)
    before = searcher.search("funny sci-fi")
    other = f"{published.build}x"
    copy_build(copied, copied, published.build, other)
    copied.hset(POINTER, "live", other)
    # The old index is still there and would answer: the pointer, asked in the same round trip, says not to.
    after = searcher.search("funny sci-fi")
    assert (before.build, after.build) == (published.build, other)
    assert [hit.work_id for hit in after.results] == [hit.work_id for hit in before.results]


def test_a_book_and_a_pick_are_of_the_live_build(copied, published):
    searcher = Searcher(copied, published.home)
    work = searcher.search("The Overstory", 1).results[0]
    other = f"{published.build}x"
    assert searcher.book(work.book_id).build == searcher.lucky().book.build == published.build
    copy_build(copied, copied, published.build, other)
    copied.hset(POINTER, "live", other)
    assert searcher.book(work.book_id).build == searcher.lucky().book.build == other
    copied.unlink(*copied.scan_iter(f"{document_prefix(published.build)}*"))
    assert searcher.book(work.work_id).title == work.title
    with pytest.raises(BookNotFound):
        searcher.book("none")
    copied.hset(record_key(other), LUCKY, "gone")
    with pytest.raises(SearchError, match="does not answer"):
        Searcher(copied, published.home).lucky()


def test_a_library_without_a_book_to_pick_says_so(copied, published):
    copied.hset(record_key(published.build), mapping={LUCKY: "", "search_fields": 0})
    with pytest.raises(SearchError, match="no book to pick from"):
        Searcher(copied, published.home).lucky()


def test_going_back_to_the_encoder_before_loads_nothing(copied, published, tmp_path, monkeypatch):
    record = read_record(copied, published.build)
    folder = tmp_path / "artifacts" / "query_encoder"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c")):
        (folder / f"encoder-{name}.1").symlink_to(encoder_folder(published.home, record))
        copy_build(copied, copied, published.build, f"20990101T00000{number}-{name}")
        copied.hset(record_key(f"20990101T00000{number}-{name}"), "query_encoder", f"encoder-{name}")
    loaded = []

    def load(folder):
        loaded.append(folder.name)
        return QueryEncoder(folder)

    monkeypatch.setattr("viberary_pipeline.search.searcher.QueryEncoder", load)
    searcher = Searcher(copied, tmp_path)
    for build in ("0-a", "1-b", "0-a", "1-b", "2-c", "1-b", "0-a"):
        copied.hset(POINTER, "live", f"20990101T00000{build}")
        assert searcher.search("funny sci-fi").build == f"20990101T00000{build}"
    # Two are kept: that of the live build and the one before.
    assert loaded == ["encoder-a.1", "encoder-b.1", "encoder-c.1", "encoder-a.1"]


def test_switches_under_load_lose_no_answer(copied, published):
    """Another build under the same encoder, switched back and forth while four readers ask."""
    first = read_record(copied, published.build)
    second = "20990101T000000-test"
    from redis.commands.search.index_definition import IndexDefinition, IndexType

    copied.ft(index_name(second)).create_index(
        first.hnsw.index_fields(first.dim),
        definition=IndexDefinition(prefix=[document_prefix(second)], index_type=IndexType.HASH),
    )
    wait_until_scanned(copied, second)
    for key in list(copied.scan_iter(f"{document_prefix(first.build)}*")):
        work = key.decode().rsplit(":", 1)[1]
        copied.hset(f"{document_prefix(second)}{work}", mapping=copied.hgetall(key))
    copied.hset(record_key(second), mapping={**first.to_hash(), "build": second, "state": "previous"})
    copied.hset(POINTER, "previous", second)
    copied.execute_command("FT.ALIASADD", "viberary:live", index_name(first.build))

    stop, moved = threading.Event(), threading.Condition()
    answers: dict[int, list[tuple[str, tuple[str, ...]]]] = {reader: [] for reader in range(4)}
    errors: list[Exception] = []

    def read(reader: int) -> None:
        searcher = Searcher(copied, published.home)
        while not stop.is_set():
            try:
                response = searcher.search("cold-blooded revenge")
            except Exception as error:
                with moved:
                    errors.append(error)
                    moved.notify_all()
                return
            with moved:
                answers[reader].append((response.build, tuple(hit.work_id for hit in response.results)))
                moved.notify_all()

    def wait_for_more(count: int) -> None:
        """Until every reader has `count` answers more, or one has failed."""
        with moved:
            wanted = {reader: len(given) + count for reader, given in answers.items()}
            assert moved.wait_for(lambda: errors or all(len(answers[r]) >= n for r, n in wanted.items()), timeout=120)

    readers = [threading.Thread(target=read, args=(reader,)) for reader in answers]
    for reader in readers:
        reader.start()
    try:
        wait_for_more(1)
        for _ in range(31):
            rollback(copied)
        wait_for_more(2)  # the first may have been under way at the last switch
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []
    for given in answers.values():
        assert (given[0][0], given[-1][0]) == (first.build, second)
    works = {works for given in answers.values() for _, works in given}
    assert len(works) == 1, "short, empty or mixed results"
    assert len(works.pop()) == 10


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(languages=("en",)),
        Filters(years=(1990, 1999)),
        Filters(genre="fantasy"),
        Filters(languages=("en",), min_reviews=3),
        Filters(languages=("zu",)),
    ],
    ids=str,
)
@pytest.mark.parametrize("query", ["funny sci-fi", "a slow sad book, not romance", "books like Rivers of London"])
def test_a_filter_finds_the_same_works_in_whichever_way_it_is_asked(searcher, monkeypatch, query, filters):
    """In a large catalogue the nearest works are asked whether they pass; in this one, Redis compares all that pass."""
    book = searcher.search("Rivers of London", 1).results[0].book_id
    expected = searcher.search(query, 20, filters), searcher.similar(book, 20, filters)
    monkeypatch.setattr(knn, "_FEW_WORKS", 0)
    assert (searcher.search(query, 20, filters), searcher.similar(book, 20, filters)) == expected
